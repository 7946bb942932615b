//! The examples of docs/pipelines.md, as they stand.

use super::bench::{Bench, Store, TOKEN, code, image, said};
use std::{fs, process::Command};

const PAGE: &str = include_str!("../../docs/pipelines.md");

fn blocks(language: &str) -> Vec<&'static str> {
    let opening = format!("```{language}\n");
    PAGE.split(opening.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn the_commands_do_what_the_page_says() {
    let bench = Bench::new();
    for (from, to) in [("key.pem", "ci.pem"), ("key.pem.pub", "ci.pem.pub")] {
        fs::copy(bench.path(from), bench.path(to)).unwrap();
    }
    bench.write("src/main.c", "int main;\n");
    bench.write("Makefile", "all:\n\tmkdir -p dist && cp src/main.c dist/app\ntest:\n\t@true\n");
    bench.write("sbom.json", r#"{"bomFormat":"CycloneDX","components":[]}"#);
    let (_, digest) = image("image");
    let store = Store::start(&bench, &["test", "build"], &[TOKEN]);
    let scripts = blocks("sh");
    assert_eq!(scripts.len(), 2);
    for script in scripts {
        let mut command = Command::new("sh");
        command.args(["-euc", &script.replace("https://store.example.com", &store.url())]);
        bench.clean(&mut command);
        let output =
            command.env("DIGEST", &digest).env("TIDEWAITER_ID_TOKEN", TOKEN).env("CI", "true").output().unwrap();
        // The store may not take statements that are no links; everything else arrives.
        assert!(matches!(output.status.code(), Some(0)), "{script}: {}", said(&output));
    }
    let links: Vec<String> =
        store.evidence(&digest).into_iter().filter(|(kind, _)| kind == "link").map(|(_, step)| step).collect();
    assert!(links.contains(&"build".to_owned()), "{links:?}");
}

#[test]
fn the_files_are_read_as_the_page_has_them() {
    let [config, table] = blocks("toml").try_into().unwrap();
    let bench = Bench::new();
    for file in ["src/main.c", "src/main.o", "Makefile", "dist/app"] {
        bench.write(file, file);
    }
    bench.write(".tidewaiter.toml", config);
    let own = tempfile::NamedTempFile::new().unwrap();
    fs::write(own.path(), table).unwrap();
    let environment = [
        ("OUR_CI_JOB", "1"),
        ("OUR_CI_URL", "https://ci.example.com"),
        ("OUR_CI_BUILD", "5"),
        ("OUR_CI_PIPELINE", "release"),
    ];
    code(&bench.step(&environment, &["--ci-table", own.path().to_str().unwrap(), "--", "true"]), 0);
    let link = bench.link();
    assert_eq!(link.materials.keys().collect::<Vec<_>>(), ["Makefile", "main.c"]);
    assert_eq!(link.products.keys().collect::<Vec<_>>(), ["dist/app"]);
    assert_eq!(
        (&bench.facts()["cicd.system"], &bench.facts()["tidewaiter.run"]),
        (&"ours".into(), &"https://ci.example.com/5".into())
    );
}

#[test]
fn the_systems_are_those_of_the_table_in_its_order() {
    let sentence = PAGE.split("## CI systems\n\n").nth(1).unwrap().split("are recognised").next().unwrap();
    let named: Vec<String> =
        sentence.replace('\n', " ").replace(" and ", ", ").split(", ").map(|name| name.trim().to_lowercase()).collect();
    let table = tidewaiter::capture::ci::Table::builtin().unwrap();
    let known: Vec<&str> = table.names().filter(|name| *name != "ci").collect();
    assert_eq!(named.len(), known.len(), "{named:?} {known:?}");
    for (name, system) in named.iter().zip(known) {
        assert_eq!(name.split(' ').next(), system.split(['-', ' ']).next());
    }
}
