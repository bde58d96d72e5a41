//! Tests of tokenizers.

use super::*;

/// Development data, or `None` with a loud note.
fn development_data(name: &str) -> Option<std::path::PathBuf> {
    match std::env::var_os("SCARCE_DEV_DATA") {
        Some(directory) => Some(Path::new(&directory).join("data").join(name)),
        None => {
            println!("SKIPPED: set SCARCE_DEV_DATA to the directory that holds data/{name}");
            None
        }
    }
}

const TEXT: &str = "The cat sat on the mat. The cat's mat, that is; the mat's cat wasn't there!\n\n\
    Numbers 12345 and 678, spaces   and\ttabs.\r\nNaïve café — “quotes” 漢字 🙂 \u{a0} end\n";

fn small() -> Tokenizer {
    train(&[TEXT, TEXT], 300).unwrap().0
}

#[test]
fn a_trained_tokenizer_has_the_size_asked_for_and_gives_the_text_back() {
    let tokenizer = small();
    assert_eq!(tokenizer.vocabulary(), 300);
    assert_eq!(tokenizer.separator(None).unwrap(), (0, SEPARATOR.to_owned()));
    let tokens = tokenizer.encode(TEXT).unwrap();
    assert!(tokens.len() < TEXT.len() * 2 / 3);
    assert_eq!(tokenizer.decode(&tokens).unwrap(), TEXT);
    let again = train(&[TEXT, TEXT], 300).unwrap().0;
    assert_eq!(again.json(), tokenizer.json(), "training is deterministic");
}

#[test]
fn the_encoder_gives_the_tokens_of_the_crate() {
    let tokenizer = small();
    let texts: Vec<String> = (0..50).map(|n| format!("{n} {TEXT} x{n}")).collect();
    let expected: Vec<Vec<u32>> =
        texts.iter().map(|text| tokenizer.encode(text).unwrap()).collect();
    for threads in [1, 2, 5] {
        let mut encoder = Encoder::new(&tokenizer, threads);
        for _ in 0..2 {
            let encoded = encoder.encode_batch(&texts).unwrap();
            let tokens: Vec<Vec<u32>> = encoded.into_iter().map(|text| text.tokens).collect();
            assert_eq!(tokens, expected, "{threads} threads");
        }
    }
}

#[test]
fn token_lengths_add_up_to_the_text() {
    let tokenizer = small();
    let bytes = tokenizer.token_bytes();
    assert!(bytes.exact);
    assert_eq!(bytes.lengths[0], 0, "the separator stands for no text");
    let tokens = tokenizer.encode(TEXT).unwrap();
    let sum: usize = tokens.iter().map(|&token| usize::from(bytes.lengths[token as usize])).sum();
    assert_eq!(sum, TEXT.len());
}

#[test]
fn text_cannot_forge_a_separator() {
    let tokenizer = small();
    let text = "one<|endoftext|>two";
    let tokens = Encoder::new(&tokenizer, 1).encode_batch(&[text]).unwrap().remove(0).tokens;
    assert!(!tokens.contains(&0));
    assert_eq!(tokens, tokenizer.encode(text).unwrap());
    assert_eq!(tokenizer.decode(&tokens).unwrap(), text);
}

#[test]
fn impossible_vocabularies_are_refused() {
    for (vocabulary, part) in
        [(256, "too small"), (u32::MAX, "too large"), (5000, "the training text has only")]
    {
        let error = train(&[TEXT], vocabulary).map(drop).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}

#[test]
fn an_unknown_separator_is_refused() {
    let error = small().separator(Some("<eot>")).unwrap_err();
    assert!(error.to_string().contains("no token `<eot>`"), "{error}");
}

#[test]
fn estimated_lengths_follow_sentencepiece() {
    for (token, bytes) in [("▁the", 4), ("<0x0A>", 1), ("é", 2), ("<0xzz1>", 7)] {
        assert_eq!(estimated_bytes(token), bytes, "{token}");
    }
}

/// Damages a tokenizer file in many ways: each gives an error or a tokenizer that works.
#[test]
fn damaged_files_never_panic() {
    let json = String::from_utf8(small().json().to_vec()).unwrap();
    let try_one = |text: &[u8]| {
        if let Ok(tokenizer) = Tokenizer::from_json(text) {
            let _ = tokenizer.encode(TEXT);
            let _ = Encoder::new(&tokenizer, 1).encode_batch(&[TEXT]);
            let _ = tokenizer.token_bytes();
            let _ = tokenizer.decode(&[0, 1, 299, 5000]);
        }
    };
    try_one(b"");
    try_one(b"{}");
    try_one(b"[1, 2");
    (0..json.len()).step_by(97).for_each(|length| try_one(&json.as_bytes()[..length]));
    for (from, to) in [
        ("\"a\": ", "\"a\": 4294967295, \"aa\": "),
        ("\"ByteLevel\"", "\"Metaspace\""),
        ("\"ByteLevel\"", "\"Whitespace\""),
        ("\"BPE\"", "\"WordLevel\""),
        ("\"BPE\"", "\"Unigram\""),
        ("\"merges\": [", "\"merges\": [[\"zz\", \"yy\"],"),
        ("\"dropout\": null", "\"dropout\": 0.5"),
        ("\"special\": true", "\"special\": false, \"rstrip\": true"),
        ("\"unk_token\": null", "\"unk_token\": \"nowhere\""),
        ("\"continuing_subword_prefix\": null", "\"continuing_subword_prefix\": \"##\""),
        ("\"normalizer\": null", "\"normalizer\": {\"type\": \"NFKC\"}"),
        ("\"truncation\": null", "\"truncation\": {\"max_length\": 0}"),
        ("\"use_regex\": true", "\"use_regex\": false"),
        ("\"vocab\": {", "\"vocab\": {\"\": 77, "),
    ] {
        assert!(json.contains(from), "{from}");
        try_one(json.replacen(from, to, 1).as_bytes());
        try_one(json.replace(from, to).as_bytes());
    }
    let mut state = 7_u64;
    for _ in 0..300 {
        let mut bytes = json.clone().into_bytes();
        for _ in 0..3 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = (state >> 20) as usize % bytes.len();
            bytes[at] = b"0123456789{}[],:\"azG"[(state >> 50) as usize % 20];
        }
        try_one(&bytes);
    }
}

/// On real text, with the crate's own GPT-2 tokenizer and with a trained one.
#[test]
fn real_text_is_encoded_as_by_the_crate() {
    let Some(path) = development_data("books-5mb.train.jsonl.zst") else { return };
    let text = zstd::decode_all(std::fs::File::open(&path).unwrap()).unwrap();
    let text = String::from_utf8(text).unwrap();
    let text = &text[..cut(&text, 400_000)];
    let gpt2 = Tokenizer::read(&path.with_file_name("gpt2.tokenizer.json")).unwrap();
    assert!(gpt2.by_words);
    for tokenizer in [gpt2, train(&[text], 1024).unwrap().0] {
        let whole = tokenizer.encode(text).unwrap();
        let (mut rest, mut pieces) = (text, Vec::new());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(cut(rest, 10_000));
            pieces.push(piece);
            rest = after;
        }
        let by_pieces = Encoder::new(&tokenizer, 2).encode_batch(&pieces).unwrap();
        let by_pieces: Vec<u32> = by_pieces.into_iter().flat_map(|piece| piece.tokens).collect();
        assert!(by_pieces == whole, "the tokens differ");
        let bytes = tokenizer.token_bytes();
        let sum: usize =
            whole.iter().map(|&token| usize::from(bytes.lengths[token as usize])).sum();
        assert_eq!(sum, text.len());
    }
}
