//! Python's `fnmatch.translate` once more, as it says it itself: a set is the text of a regular expression's set, and the whole is matched by
//! trying every place at once. Slow, plain, and nothing like ours.

enum Part {
    Star,
    Any,
    Never,
    One(char),
    /// What stands between the brackets of the regular expression.
    Set(Vec<char>),
}

/// Whether the whole name matches.
pub fn matches(pattern: &str, name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    // How much of the name is behind us, in every way so far.
    let mut at = vec![false; name.len() + 1];
    at[0] = true;
    for part in parts(&pattern.chars().collect::<Vec<_>>()) {
        let mut next = vec![false; name.len() + 1];
        for place in (0..=name.len()).filter(|place| at[*place]) {
            match &part {
                Part::Star => next[place..].fill(true),
                Part::Never => {}
                part => {
                    if let Some(c) = name.get(place) {
                        next[place + 1] |= match part {
                            Part::One(one) => one == c,
                            Part::Set(set) => is_in(set, *c),
                            _ => true,
                        };
                    }
                }
            }
        }
        at = next;
    }
    at[name.len()]
}

fn parts(pattern: &[char]) -> Vec<Part> {
    let (mut parts, mut i) = (Vec::new(), 0);
    while let Some(c) = pattern.get(i) {
        i += 1;
        parts.push(match c {
            '*' => Part::Star,
            '?' => Part::Any,
            '[' => {
                let mut j = i;
                j += usize::from(pattern.get(j) == Some(&'!'));
                j += usize::from(pattern.get(j) == Some(&']'));
                while pattern.get(j).is_some_and(|c| *c != ']') {
                    j += 1;
                }
                if j >= pattern.len() {
                    Part::One('[')
                } else {
                    let set = set(&pattern[i..j]);
                    i = j + 1;
                    set
                }
            }
            c => Part::One(*c),
        });
    }
    parts
}

fn set(stuff: &[char]) -> Part {
    let escaped = |chars: &[char], what: &[char]| -> Vec<char> {
        chars.iter().flat_map(|c| what.contains(c).then_some('\\').into_iter().chain([*c])).collect()
    };
    let stuff = if stuff.contains(&'-') {
        let (mut chunks, mut i) = (Vec::<Vec<char>>::new(), 0);
        let mut k = if stuff[0] == '!' { 2 } else { 1 };
        while let Some(found) = (k..stuff.len()).find(|at| stuff[*at] == '-') {
            chunks.push(stuff[i..found].to_vec());
            (i, k) = (found + 1, found + 3);
        }
        match &stuff[i..] {
            [] => chunks.last_mut().expect("a hyphen was found").push('-'),
            chunk => chunks.push(chunk.to_vec()),
        }
        // Ranges the wrong way round are taken out, from the back.
        for k in (1..chunks.len()).rev() {
            if chunks[k - 1].last().expect("no empty chunk") > chunks[k].first().expect("no empty chunk") {
                let after = chunks.remove(k);
                chunks[k - 1].pop();
                chunks[k - 1].extend(&after[1..]);
            }
        }
        chunks.iter().map(|chunk| escaped(chunk, &['\\', '-'])).collect::<Vec<_>>().join(&'-')
    } else {
        escaped(stuff, &['\\'])
    };
    match stuff.as_slice() {
        [] => Part::Never,
        ['!'] => Part::Any,
        ['!', rest @ ..] => Part::Set([&['^'], rest].concat()),
        [first @ ('^' | '['), rest @ ..] => Part::Set([&['\\', *first], rest].concat()),
        _ => Part::Set(stuff),
    }
}

/// The set of a regular expression.
fn is_in(set: &[char], c: char) -> bool {
    let negated = set.first() == Some(&'^');
    let set = &set[usize::from(negated)..];
    let item = |at: usize| match set.get(at)? {
        '\\' => Some((*set.get(at + 1)?, at + 2)),
        c => Some((*c, at + 1)),
    };
    let (mut at, mut found) = (0, false);
    while let Some((low, next)) = item(at) {
        match (set.get(next), item(next + 1)) {
            (Some('-'), Some((high, behind))) => {
                found |= (low..=high).contains(&c);
                at = behind;
            }
            _ => {
                found |= low == c;
                at = next;
            }
        }
    }
    found != negated
}
