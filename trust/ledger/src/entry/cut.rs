//! Cutting what a program chose the length of.

/// Cuts text to at most so many bytes, between characters; says whether it was longer.
pub fn cut_text(text: &mut String, bytes_max: usize) -> bool {
    let is_cut = text.len() > bytes_max;
    text.truncate(text.floor_char_boundary(bytes_max));
    is_cut
}

/// Cuts a list of texts to at most so many bytes in all, each counted with the three that its length may take; says
/// whether it was longer.
pub fn cut_list(texts: &mut Vec<String>, bytes_max: usize) -> bool {
    let (count, mut left) = (texts.len(), bytes_max);
    for (index, text) in texts.iter_mut().enumerate() {
        let (head, length) = (3.min(left), text.len());
        left -= head;
        if length > left {
            cut_text(text, left);
            texts.truncate(index + 1);
            return true;
        }
        left -= length;
        if left == 0 && index + 1 < count {
            texts.truncate(index + 1);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters() {
        let mut text = "añb".to_owned();
        assert!(!cut_text(&mut text, 4));
        assert!(cut_text(&mut text, 2));
        assert_eq!(text, "a");
    }

    #[test]
    fn a_list_is_cut_as_a_whole() {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let mut whole = list(&["ab", "cd"]);
        assert!(!cut_list(&mut whole, 10));
        for (bytes_max, left) in
            [(9, &["ab", "c"][..]), (8, &["ab", ""]), (5, &["ab"]), (4, &["a"]), (1, &[""])]
        {
            let mut texts = list(&["ab", "cd"]);
            assert!(cut_list(&mut texts, bytes_max), "{bytes_max}");
            assert_eq!(texts, list(left), "{bytes_max}");
        }
        let mut many = vec![String::new(); 100];
        assert!(cut_list(&mut many, 30));
        assert_eq!(many.len(), 10);
    }
}
