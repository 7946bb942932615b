//! What can be done to the bytes of a review.

/// The body of that name, made from an honest review.
pub fn named(name: &str, review: &str) -> Vec<u8> {
    let user = |text: &str| review.replacen("\"someone\"", text, 1);
    let extra = |value: String| review.replacen("\"object\":", &format!("\"options\":{value},\"object\":"), 1);
    let last = |members: &str| review.strip_suffix("}}").expect("two braces").to_owned() + members;
    let text = match name {
        "honest" => review.to_owned(),
        "byte-order-mark" => format!("\u{feff}{review}"),
        // The good one first: whoever takes the first sees nothing wrong.
        "object-twice" => last(",\"object\":{}}}"),
        "object-twice-by-escape" => last(",\"\\u006fbject\":{}}}"),
        "lone-surrogate" => user("\"\\ud800\""),
        "surrogate-pair" => user("\"\\ud83d\\ude00\""),
        "not-utf-8" => {
            let (before, after) = review.split_once("\"someone\"").expect("a user");
            return [before.as_bytes(), b"\"\xff\"", after.as_bytes()].concat();
        }
        "deep" => extra("[".repeat(100_000) + &"]".repeat(100_000)),
        "less-deep" => extra("[".repeat(20) + &"]".repeat(20)),
        "not-a-number" => extra("NaN".into()),
        "big-number" => extra("1".repeat(400)),
        "trailing" => format!("{review}{{}}"),
        "trailing-blank" => format!("{review}\n"),
        "cut" => review[..review.len() - 5].to_owned(),
        "nine-mebibytes" => extra(format!("{:?}", "x".repeat(9 << 20))),
        "seven-mebibytes" => extra(format!("{:?}", "x".repeat(7 << 20))),
        "empty" => String::new(),
        "no-json" => "apiVersion: admission.k8s.io/v1".into(),
        "a-list" => format!("[{review}]"),
        "v1beta1" => review.replacen("admission.k8s.io/v1", "admission.k8s.io/v1beta1", 1),
        "another-kind" => review.replacen("\"AdmissionReview\"", "\"ConversionReview\"", 1),
        "no-uid" => review.replacen("\"uid\"", "\"uuid\"", 1),
        other => panic!("no body is called {other}"),
    };
    text.into_bytes()
}
