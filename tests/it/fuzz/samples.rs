//! Small whole inputs of every format, to be damaged.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

/// A file: its name, whose ending says its format, and its content.
pub(super) type Sample = (&'static str, Vec<u8>);

/// Inputs by what reads them.
pub(super) struct Samples {
    /// Files of text, for `prepare`.
    pub(super) texts: Vec<Sample>,
    /// Files of tokens, for `prepare`.
    pub(super) tokens: Vec<Sample>,
    /// Tokenizers.
    pub(super) tokenizers: Vec<Sample>,
    /// Runs of other programs, for `import runs`.
    pub(super) runs: Vec<Sample>,
    /// Specs of single runs.
    pub(super) specs: Vec<Sample>,
    /// Studies, each named by its verb.
    pub(super) studies: Vec<Sample>,
}

impl Samples {
    /// Makes all of them; the repository has the longer ones.
    pub(super) fn make(repository: &Path) -> Self {
        let read = |path: &str| std::fs::read(repository.join(path)).unwrap();
        Self {
            texts: texts(),
            tokens: tokens(),
            tokenizers: tokenizers(read("tests/formats/corpus-1/tokenizer.json")),
            runs: runs(),
            specs: vec![
                ("spec.toml", SPEC.into()),
                ("spec.toml", read("specs/pocket/regularized-16.toml")),
                ("spec.toml", b"[model]\npreset = 'pocket-20k'\n[data]\nepochs = 2\n".to_vec()),
                ("spec.toml", MIXTURE.into()),
            ],
            studies: vec![
                ("tune", TUNE.into()),
                ("scale", read("specs/pocket/paper.toml")),
                ("ensemble", b"study = 'ensemble'\n[plan]\nmembers = 3\nvary = 'all'\n".to_vec()),
                ("ensemble", read("specs/pocket/members.toml")),
            ],
        }
    }
}

/// A spec of the smallest model on the corpora of `tests/formats`.
pub(super) const SPEC: &str = "[model]\nlayers = 1\nwidth = 16\nheads = 2\nkv_heads = 2\n\
    feed_forward = { kind = 'swiglu', width = 24 }\n[data]\nbudget_tokens = 512\n\
    sequence_tokens = 16\nepochs = 1.0\n[optim]\nlr = 0.003\nbatch_sequences = 8\n\
    [evaluation]\npoints = 2\nsample_tokens = 256\n";

const MIXTURE: &str = "precision = 'bf16'\n[data]\nepochs = 1\n[[data.mixture]]\ncorpus = \
    'd93297164fba7f42c746a78a116efb6a2814d736257dcdc75828817d6c6f87eb'\nshare = 0.5\n\
    [start]\nkind = 'from'\nrecord = \
    '5e15de75a79ab134960a6f0305ba74ff079a2b565ee7c652a72807a0beb19614'\n";

const TUNE: &str = "study = 'tune'\n[base]\nmodel.preset = 'pocket-20k'\n[plan]\n\
    mode = 'regularized'\ngrid = { epochs = [8, 16], lr = [0.01], weight_decay = [0.8, 1.6] }\n\
    starts = [{ epochs = 8, lr = 0.01, weight_decay = 1.6 }]\nseeds = 2\nmembers = 5\n";

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn texts() -> Vec<Sample> {
    let plain: String =
        (0..60).map(|n| format!("Line {n} of {} small texts, café 中文.\n\n", n * n)).collect();
    let lines: String = (0..60)
        .map(|n| {
            let nested = format!("{{\"content\": \"raw {n}\"}}");
            format!(
                "{{\"text\": \"Document {n}\\nof \\u00e9 {} words\", \"raw\": {nested}}}\n",
                n * n
            )
        })
        .collect();
    let lines = lines + "{\"text\": null}\n{\"text\": \"\\ud83d\\ude00\"}\n";
    let zstd = |content: &str| zstd::encode_all(content.as_bytes(), 3).unwrap();
    let mut texts = vec![
        ("a.txt.gz", gzip(plain.as_bytes())),
        ("a.txt.zst", zstd(&plain)),
        ("a.jsonl.gz", gzip(lines.as_bytes())),
        ("a.jsonl.zst", zstd(&lines)),
        ("a.json.gz", gzip(lines.as_bytes())),
        ("a.md", plain.clone().into_bytes()),
        ("a.txt", plain.into_bytes()),
        ("a.jsonl", lines.into_bytes()),
    ];
    #[cfg(feature = "parquet")]
    texts.extend([("a.parquet", parquet_table()), ("a.parquet", parquet_table())]);
    texts
}

fn tokens() -> Vec<Sample> {
    let tokens: Vec<u16> =
        (0..1500_u16).map(|n| if n % 25 == 0 { 0 } else { n * 7 % 250 + 1 }).collect();
    let narrow: Vec<u8> = tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
    let wide: Vec<u8> = tokens.iter().flat_map(|&token| u32::from(token).to_le_bytes()).collect();
    let headed = |magic: i32, version: i32, body: &[u8]| {
        let mut header = vec![0; 256];
        header[..3].copy_from_slice(&[magic, version, tokens.len() as i32]);
        let header = header.iter().flat_map(|word: &i32| word.to_le_bytes());
        header.chain(body.iter().copied()).collect::<Vec<u8>>()
    };
    let mut npy = b"\x93NUMPY\x01\x00v\x00".to_vec();
    npy.extend(
        format!("{:<117}\n", "{'descr': '<u2', 'fortran_order': False, 'shape': (1500,)}").bytes(),
    );
    npy.extend(&narrow);
    vec![
        ("a.bin", headed(20_240_520, 1, &narrow)),
        ("a.bin", headed(20_240_801, 7, &wide)),
        ("a.npy", npy),
        ("a.bin", narrow),
        ("a.bin", wide),
    ]
}

/// A tokenizer of these parts, with two tokens beside its model's.
fn tokenizer(normalizer: Value, pre_tokenizer: Value, decoder: Value, model: Value) -> Sample {
    let added = |id: u32, content: &str| {
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false,
            "rstrip": id == 0, "normalized": false, "special": true
        })
    };
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [added(0, "[UNK]"), added(1, "<|endoftext|>")],
        "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": null,
        "decoder": decoder, "model": model
    });
    ("t.json", file.to_string().into_bytes())
}

fn tokenizers(byte_level: Vec<u8>) -> Vec<Sample> {
    let words = |prefix: &str, more: &[(&str, u32)]| {
        let mut words = json!({ "[UNK]": 0, "<|endoftext|>": 1, "Line": 2 });
        for (id, letter) in (3..).zip('a'..='z') {
            words[format!("{prefix}{letter}")] = json!(id);
        }
        more.iter().for_each(|(word, id)| words[*word] = json!(id));
        words
    };
    let mut scores =
        vec![json!(["[UNK]", 0]), json!(["<|endoftext|>", 0]), json!(["\u{2581}L", -2.0])];
    scores.extend(('a'..='z').map(|letter| json!([letter.to_string(), -3.5])));
    let metaspace = json!({
        "type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true
    });
    vec![
        ("t.json", byte_level.clone()),
        ("t.json", byte_level),
        tokenizer(
            Value::Null,
            json!({ "type": "Whitespace" }),
            Value::Null,
            json!({ "type": "WordLevel", "unk_token": "[UNK]", "vocab": words("", &[]) }),
        ),
        tokenizer(
            json!({
                "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                "strip_accents": null, "lowercase": true
            }),
            json!({ "type": "BertPreTokenizer" }),
            json!({ "type": "WordPiece", "prefix": "##", "cleanup": true }),
            json!({
                "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100, "vocab": words("##", &[])
            }),
        ),
        tokenizer(
            Value::Null,
            metaspace.clone(),
            metaspace,
            json!({ "type": "Unigram", "unk_id": 0, "byte_fallback": false, "vocab": scores }),
        ),
        tokenizer(
            json!({ "type": "Replace", "pattern": { "Regex": "a+" }, "content": "a" }),
            json!({
                "type": "Split", "pattern": { "Regex": "\\s+" }, "behavior": "Isolated",
                "invert": false
            }),
            Value::Null,
            json!({
                "type": "BPE", "dropout": 0.0, "unk_token": "[UNK]", "fuse_unk": false,
                "byte_fallback": false, "vocab": words("", &[("li", 60)]), "merges": [["l", "i"]]
            }),
        ),
    ]
}

fn runs() -> Vec<Sample> {
    const TABLE: &str = "run_id,model.params,data.tokens,lr,wd,members,final_loss\n\
        a,150000000,200000000,0.003,1.6,1,3.9\nb,300000000,200000000,0.003,0.8,4,3.7\n";
    const STEPS: &str = "run_id,step,loss,lr\na,10,3.5,0.1\na,20,3.0,0.05\nb,10,nan,0.1\n";
    const WANDB: &str = "\"Name\",\"State\",\"Tags\",\"lr\",\"n_params\",\"eval/loss\"\n\
        \"a\",\"finished\",\"x, y\",\"0.001\",\"124439808\",\"3.5\"\n\
        \"b\",\"crashed\",\"\",\"0.002\",\"124439808\",\"NaN\"\n";
    const CHART: &str = "\"Step\",\"a - eval/loss\",\"a - eval/loss__MIN\",\"b - eval/loss\"\n\
        \"1\",\"3.5\",\"3.5\",\"\"\n\"2\",\"3.0\",\"3.0\",\"3.9\"\n";
    const LINES: &str = "{\"id\": \"a\", \"config\": {\"lr\": {\"value\": 0.003}}, \"loss\": 3.5}\n\
        {\"id\": \"b\", \"loss\": NaN, \"tags\": [\"t\"]}\n";
    const SCAN: &str = "{\"_step\": 0, \"train/loss\": 4.0}\n{\"_step\": 1, \"train/loss\": 3.5, \
        \"eval/loss\": Infinity}\n";
    const LIST: &str = "[{\"run_id\": \"300m4k-209Mx16-dclm-cos-lr0.0030-wd1.60-bs64\", \
        \"config\": {\"lr\": 0.003}, \"loss_history\": {\"_step\": {\"0\": 1, \"1\": 2}, \
        \"eval/loss\": {\"0\": 4.0, \"1\": 3.6}}, \"tags\": [\"t\"]}]";
    const RESULTS: &str = "{\"300m\": {\"1\": {\"piqa\": {\"acc\": 0.6, \"acc_stderr\": 0.01}}, \
        \"5\": {\"piqa\": {\"acc\": 0.65, \"acc_stderr\": 0.01}}}}";
    let mut runs = vec![
        ("a.csv", TABLE.into()),
        ("a.csv", STEPS.into()),
        ("a.csv", WANDB.into()),
        ("a.csv", CHART.into()),
        ("a.csv", TABLE.replace(',', ";").into()),
        ("a.tsv", TABLE.replace(',', "\t").into()),
        ("a.jsonl", LINES.into()),
        ("a.jsonl", SCAN.into()),
        ("a.json", LIST.into()),
        ("a.json", RESULTS.into()),
        ("a.wandb", wandb_log(&wandb_records())),
    ];
    #[cfg(feature = "parquet")]
    runs.push(("a.parquet", parquet_table()));
    runs
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A message with these fields of bytes.
fn message(fields: &[(u64, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (field, value) in fields {
        varint(field << 3 | 2, &mut out);
        varint(value.len() as u64, &mut out);
        out.extend(*value);
    }
    out
}

/// The records of an offline run of W&B: its configuration, two steps, and its summary.
pub(super) fn wandb_records() -> Vec<Vec<u8>> {
    let item = |key: &str, json: &str| message(&[(2, key.as_bytes()), (16, json.as_bytes())]);
    let plain = |key: &str, json: &str| message(&[(1, key.as_bytes()), (16, json.as_bytes())]);
    let config = message(&[(1, &plain("model", "{\"seq_len\": 4096}")), (1, &plain("lr", "6e-4"))]);
    let run = message(&[(1, b"r1"), (3, b"p"), (4, &config), (8, b"name"), (10, b"tag")]);
    let step = |step: &str, loss: &str| {
        let items = message(&[(1, &item("train/loss", loss)), (1, &item("_step", step))]);
        message(&[(2, &items)])
    };
    let summary = message(&[(1, &plain("eval/loss", "3.25"))]);
    vec![
        message(&[(21, b"")]),
        message(&[(17, &run)]),
        step("0", "4.0"),
        step("1", "NaN"),
        message(&[(3, &summary)]),
        message(&[(18, &[8, 0])]),
    ]
}

/// A log of W&B with these records, each in one chunk with its checksum.
pub(super) fn wandb_log(records: &[Vec<u8>]) -> Vec<u8> {
    let mut out = b":W&B\xe1\xbe\x00".to_vec();
    for record in records.iter().filter(|record| record.len() < 30_000) {
        let mut crc = flate2::Crc::new();
        crc.update(&[1]);
        crc.update(record);
        out.extend(crc.sum().to_le_bytes());
        out.extend((record.len() as u16).to_le_bytes());
        out.push(1);
        out.extend(record);
    }
    out
}

#[cfg(feature = "parquet")]
fn parquet_table() -> Vec<u8> {
    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;

    let schema = "message m { optional binary text (UTF8); required int64 tokens; \
                  required double loss; }";
    let schema = std::sync::Arc::new(parquet::schema::parser::parse_message_type(schema).unwrap());
    let properties =
        WriterProperties::builder().set_compression(parquet::basic::Compression::SNAPPY).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties.into()).unwrap();
    for group in 0..2_i64 {
        let mut columns = writer.next_row_group().unwrap();
        let texts: Vec<ByteArray> = (0..30)
            .map(|n| format!("Row {n} of group {group}, {}", n * n).into_bytes().into())
            .collect();
        let mut column = columns.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&texts, Some(&[1; 30]), None).unwrap();
        column.close().unwrap();
        let mut column = columns.next_column().unwrap().unwrap();
        let tokens: Vec<i64> = (0..30).map(|n| 1000 * (n + 30 * group)).collect();
        column.typed::<Int64Type>().write_batch(&tokens, None, None).unwrap();
        column.close().unwrap();
        let mut column = columns.next_column().unwrap().unwrap();
        column.typed::<DoubleType>().write_batch(&[3.5; 30], None, None).unwrap();
        column.close().unwrap();
        columns.close().unwrap();
    }
    writer.into_inner().unwrap()
}
