//! Functions that change labels or choose by them.

use super::{M, P, check};

const LOAD: &str = r#"
    m{src="source-value-10",dst="orig",n="1.5"} 0
    m{src="source-value-20",dst="orig",n="x"} 1
"#;

#[test]
fn labels_are_replaced_and_joined() {
    for dialect in [M, P] {
        check(
            dialect,
            LOAD,
            &[
                (
                    "label_replace(m, \"dst\", \"to-$1\", \"src\", \"source-value-(.*)\")",
                    "m{dst=\"to-10\",n=\"1.5\",src=\"source-value-10\"} 0\nm{dst=\"to-20\",n=\"x\",src=\"source-value-20\"} 1",
                ),
                (
                    "label_replace(m{n=\"x\"}, \"dst\", \"to-$1\", \"src\", \"value-(.*)\")",
                    "m{dst=\"orig\",n=\"x\",src=\"source-value-20\"} 1",
                ),
                ("label_replace(m{n=\"x\"}, \"src\", \"\", \"src\", \".*\")", "m{dst=\"orig\",n=\"x\"} 1"),
                (
                    "label_replace(m{n=\"x\"}, \"dst\", \"v-$1\", \"none\", \"(.*)\")",
                    "m{dst=\"v-\",n=\"x\",src=\"source-value-20\"} 1",
                ),
                (
                    "label_join(m{n=\"x\"}, \"j\", \"-\", \"dst\", \"none\", \"n\")",
                    "m{dst=\"orig\",j=\"orig--x\",n=\"x\",src=\"source-value-20\"} 1",
                ),
                ("label_join(m{n=\"x\"}, \"src\", \"\", \"none\")", "m{dst=\"orig\",n=\"x\"} 1"),
            ],
        );
    }
    check(
        P,
        LOAD,
        &[
            (
                "label_replace(m, \"x\", \"$1\", \"src\", \"(.*\")",
                "error: invalid regular expression in label_replace()",
            ),
            (
                "label_replace(label_replace(m, \"src\", \"\", \"\", \"\"), \"n\", \"\", \"\", \"\")",
                "error: same labelset",
            ),
        ],
    );
    check(M, LOAD, &[("label_replace(m, \"x\", \"$1\", \"src\", \"(.*\")", "error: cannot compile regexp")]);
}

#[test]
fn series_become_one_where_they_do_not_overlap() {
    let load = "m{l=\"a\",i=\"1\"} 2 _\nm{l=\"a\",i=\"2\"} _ 4";
    check(
        P,
        load,
        &[
            ("label_replace(m, \"i\", \"r\", \"i\", \".*\")", "m{i=\"r\",l=\"a\"} 2 4"),
            ("label_join(m, \"i\", \",\", \"l\", \"l\")", "m{i=\"a,a\",l=\"a\"} 2 4"),
        ],
    );
}

#[test]
fn labels_are_set_moved_and_mapped() {
    check(
        M,
        "m{a=\"A1\",b=\"b\",n=\"2.5\"} 7",
        &[
            ("alias(m, \"other\")", "other{a=\"A1\",b=\"b\",n=\"2.5\"} 7"),
            ("label_set(m, \"a\", \"\", \"z\", \"z\", \"__name__\", \"k\")", "k{b=\"b\",n=\"2.5\",z=\"z\"} 7"),
            ("label_del(m, \"a\", \"__name__\")", "{b=\"b\",n=\"2.5\"} 7"),
            ("label_keep(m, \"a\")", "{a=\"A1\"} 7"),
            ("label_keep(m, \"a\", \"__name__\")", "m{a=\"A1\"} 7"),
            ("label_copy(m, \"a\", \"b\", \"none\", \"n\")", "m{a=\"A1\",b=\"A1\",n=\"2.5\"} 7"),
            ("label_move(m, \"a\", \"b\", \"n\", \"n\")", "m{b=\"A1\",n=\"2.5\"} 7"),
            ("label_lowercase(m, \"a\", \"none\")", "m{a=\"a1\",b=\"b\",n=\"2.5\"} 7"),
            ("label_uppercase(m, \"b\")", "m{a=\"A1\",b=\"B\",n=\"2.5\"} 7"),
            ("label_map(m, \"a\", \"A1\", \"x\", \"b\", \"y\")", "m{a=\"x\",b=\"b\",n=\"2.5\"} 7"),
            ("label_match(m, \"a\", \"A.\")", "m{a=\"A1\",b=\"b\",n=\"2.5\"} 7"),
            ("label_mismatch(m, \"a\", \"A.\")", ""),
            ("label_transform(m, \"a\", \"[0-9]\", \"-\")", "m{a=\"A-\",b=\"b\",n=\"2.5\"} 7"),
            ("label_value(m, \"n\")", "{a=\"A1\",b=\"b\",n=\"2.5\"} 2.5"),
            ("label_value(m, \"b\")", ""),
            ("labels_equal(m, \"a\", \"b\")", ""),
            ("label_set(m, \"a\")", "error: must be even"),
            ("LABEL_SET(m, \"b\", \"\")", "m{a=\"A1\",n=\"2.5\"} 7"),
        ],
    );
    check(M, "{__name__=\"x.y.z\"} 1", &[("label_graphite_group({__name__=\"x.y.z\"}, 0, 2, 9)", "x.z. 1")]);
    check(
        M,
        "a{j=\"1\",k=\"2\"} 1\nb{j=\"1\",k=\"3\"} 2",
        &[("drop_common_labels(a, b)", "a{k=\"2\"} 1\nb{k=\"3\"} 2")],
    );
}

#[test]
fn series_are_ordered_by_labels() {
    let load = "m{l=\"10\",g=\"b\"} 1\nm{l=\"9\",g=\"a\"} 2\nm{l=\"10\",g=\"a\"} 3";
    check(
        P,
        load,
        &[
            ("sort_by_label(m, \"l\")", "m{g=\"a\",l=\"9\"} 2\nm{g=\"a\",l=\"10\"} 3\nm{g=\"b\",l=\"10\"} 1"),
            ("sort_by_label_desc(m, \"l\")", "m{g=\"b\",l=\"10\"} 1\nm{g=\"a\",l=\"10\"} 3\nm{g=\"a\",l=\"9\"} 2"),
        ],
    );
    check(
        M,
        load,
        &[
            ("sort_by_label(m, \"l\", \"g\")", "m{g=\"a\",l=\"10\"} 3\nm{g=\"b\",l=\"10\"} 1\nm{g=\"a\",l=\"9\"} 2"),
            (
                "sort_by_label_numeric(m, \"l\", \"g\")",
                "m{g=\"a\",l=\"9\"} 2\nm{g=\"a\",l=\"10\"} 3\nm{g=\"b\",l=\"10\"} 1",
            ),
            (
                "sort_by_label_numeric_desc(m, \"l\")",
                "m{g=\"b\",l=\"10\"} 1\nm{g=\"a\",l=\"10\"} 3\nm{g=\"a\",l=\"9\"} 2",
            ),
            ("limit_offset(1, 1, sort(m))", "m{g=\"a\",l=\"9\"} 2"),
            ("sort_desc(m)", "m{g=\"a\",l=\"10\"} 3\nm{g=\"a\",l=\"9\"} 2\nm{g=\"b\",l=\"10\"} 1"),
        ],
    );
}
