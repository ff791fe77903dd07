"""Documents: what is understood, and where and why the rest is refused."""

import random
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import koinon.demo
from koinon.base.canonical import canonical
from koinon.base.errors import Invalid, TooLarge
from koinon.trust.rules import (
    Condition,
    LogLevel,
    Obligations,
    Vocabulary,
    parse_rule,
    parse_rules,
    read_rules,
    read_vocabulary,
    rule_digest,
)
from koinon.trust.rules.document import rule_document, rule_from_document
from koinon.trust.rules.parse import LIMIT_BYTES, check_rule
from koinon.trust.rules.vocabulary import parse_vocabulary, vocabulary_from_document

DEMO = Path(koinon.demo.__path__[0]) / "rules"

DOCUMENT = """\
id = "housing.consult"
version = 3
effect = "permit"
resource = "ksz/income"
actions = ["consult"]
purposes = ["housing"]
party_kinds = ["company"]
profiles = ["handler"]
fields = ["amount", "year"]
deliberation = "2026/001"
in_force_from = 2026-01-01
in_force_until = 2027-01-01
author = "author-1"

[title]
nl = "Inkomen"
fr = "Revenus"
en = "Income"

[basis]
article = "art. 2"
[basis.text]
nl = "Tekst"
fr = "Texte"
en = "Text"

[[conditions]]
fact = "dossier"
is = true

[[conditions]]
fact = "persons"
at_most = 12

[obligations]
yes_no = ["amount"]
depth_days = 30
log = "full"
"""

WORD = '{ nl = "a", fr = "b", en = "c" }'
WORDS = f"""
[actions]
consult = {WORD}
[purposes]
housing = {WORD}
[profiles]
handler = {WORD}
[party_kinds]
company = {WORD}
[masks]
faces = {WORD}
[facts.dossier]
type = "yes_no"
title = {WORD}
[facts.persons]
type = "number"
title = {WORD}
[facts.zone]
type = "text"
title = {WORD}
[facts.born]
type = "date"
title = {WORD}
[resources."ksz/income"]
title = {WORD}
fields = {{ amount = {WORD}, year = {WORD} }}
[resources."ksz/property"]
title = {WORD}
fields = {{ owner = {WORD} }}
[resources."cameras/*"]
title = {WORD}
"""


@pytest.fixture(scope="module")
def words() -> Vocabulary:
    return parse_vocabulary(WORDS)


def test_a_document_becomes_a_rule(words: Vocabulary) -> None:
    rule = parse_rule(DOCUMENT, "a.toml", words)
    assert rule.name == "housing.consult/3"
    assert rule.fields == {"amount", "year"}
    assert rule.conditions == (
        Condition("dossier", "yes_no", "is", True),
        Condition("persons", "number", "at_most", 12),
    )
    assert rule.obligations == Obligations(yes_no=frozenset({"amount"}), depth_days=30, log=LogLevel.FULL)
    assert (rule.in_force_from, rule.in_force_until) == (date(2026, 1, 1), date(2027, 1, 1))


def test_no_end_must_be_said(words: Vocabulary) -> None:
    text = DOCUMENT.replace("in_force_until = 2027-01-01", 'in_force_until = "open"')
    assert parse_rule(text, "a.toml", words).in_force_until is None


REFUSED: list[tuple[str, str, str, str, int]] = [
    # what is replaced, by what, code, key, line
    ("in_force_until = 2027-01-01\n", "", "rule_without_end", "in_force_until", 0),
    ('resource = "ksz/income"', 'resource = "ksz/other"', "unknown_resource", "resource", 4),
    ('resource = "ksz/income"', 'resource = "income"', "rule_malformed", "resource", 4),
    ('["consult"]', '["steer"]', "unknown_action", "actions", 5),
    ('["consult"]', "[]", "rule_malformed", "actions", 5),
    ('["consult"]', '["*"]', "permit_too_open", "actions", 5),
    ('["consult"]', '["consult", "consult"]', "rule_malformed", "actions", 5),
    ('["housing"]', '["hosing"]', "unknown_purpose", "purposes", 6),
    ('["housing"]', '["*"]', "permit_too_open", "purposes", 6),
    ('["company"]', '["companies"]', "unknown_party_kind", "party_kinds", 7),
    ('["company"]', "[]", "rule_malformed", "party_kinds", 7),
    ('["handler"]', '["manager"]', "unknown_profile", "profiles", 8),
    ('["handler"]', '["handler", "*"]', "rule_malformed", "profiles", 8),
    ('["amount", "year"]', '["amount", "owner"]', "unknown_field", "fields", 9),
    ('"permit"', '"allow"', "rule_malformed", "effect", 3),
    ("version = 3", "version = 0", "rule_malformed", "version", 2),
    ("version = 3", "version = true", "rule_malformed", "version", 2),
    ("version = 3", 'version = "3"', "rule_malformed", "version", 2),
    ("version = 3", "version = 3\nversoin = 3", "rule_malformed", "versoin", 3),
    ('id = "housing.consult"', 'id = "Housing consult"', "rule_malformed", "id", 1),
    ('id = "housing.consult"\n', "", "rule_malformed", "id", 0),
    ("in_force_from = 2026-01-01", 'in_force_from = "2026-01-01"', "rule_malformed", "in_force_from", 11),
    (
        "in_force_from = 2026-01-01",
        "in_force_from = 2026-01-01T00:00:00Z",
        "rule_malformed",
        "in_force_from",
        11,
    ),
    ("in_force_until = 2027-01-01", "in_force_until = 0207-01-01", "rule_malformed", "in_force_until", 12),
    ('author = "author-1"', 'author = " "', "rule_malformed", "author", 13),
    ('fr = "Revenus"', 'fr = ""', "rule_malformed", "title.fr", 17),
    ('fr = "Revenus"\n', "", "rule_malformed", "title.fr", 15),
    ('article = "art. 2"', 'article = ""', "rule_without_basis", "basis.article", 21),
    ('"dossier"', '"dosier"', "unknown_fact", "conditions[0].fact", 28),
    ("is = true", "is = 1", "value_not_of_type", "conditions[0].is", 29),
    ("is = true", 'is = "yes"', "value_not_of_type", "conditions[0].is", 29),
    ("is = true", "at_least = true", "operator_not_for_type", "conditions[0].at_least", 29),
    ("is = true", "equals = true", "unknown_operator", "conditions[0].equals", 29),
    ("is = true", "is = true\nis_not = false", "rule_malformed", "conditions[0]", 27),
    ("is = true", "present = false", "rule_malformed", "conditions[0].present", 29),
    ("at_most = 12", "at_most = true", "value_not_of_type", "conditions[1].at_most", 33),
    ("at_most = 12", "at_most = 9007199254740993", "value_not_of_type", "conditions[1].at_most", 33),
    ("at_most = 12", "in = [1, 1]", "rule_malformed", "conditions[1].in", 33),
    ("at_most = 12", "in = []", "rule_malformed", "conditions[1].in", 33),
    ("at_most = 12", 'in = [1, "a"]', "value_not_of_type", "conditions[1].in", 33),
    ('yes_no = ["amount"]', 'yes_no = ["owner"]', "obligation_without_field", "obligations.yes_no", 36),
    ('yes_no = ["amount"]', 'keep = ["owner"]', "obligation_without_field", "obligations.keep", 36),
    ('yes_no = ["amount"]', 'masks = ["hats"]', "unknown_mask", "obligations.masks", 36),
    ("depth_days = 30", "depth_days = -1", "rule_malformed", "obligations.depth_days", 37),
    ("depth_days = 30", "cache_seconds = 0", "rule_malformed", "obligations.cache_seconds", 37),
    ("depth_days = 30", "cache_seconds = 86401", "rule_malformed", "obligations.cache_seconds", 37),
    ('log = "full"', 'log = "loud"', "rule_malformed", "obligations.log", 38),
    ('log = "full"', 'log = "full"\nloud = true', "rule_malformed", "obligations.loud", 39),
    ('effect = "permit"', 'effect = "forbid"', "rule_malformed", "obligations", 35),
    ('deliberation = "2026/001"', 'deliberation = ""', "rule_malformed", "deliberation", 10),
]


@pytest.mark.parametrize(("old", "new", "code", "key", "line"), REFUSED)
def test_what_is_wrong_is_refused_with_file_line_key_and_code(
    words: Vocabulary, old: str, new: str, code: str, key: str, line: int
) -> None:
    assert old in DOCUMENT
    with pytest.raises(Invalid) as refused:
        parse_rule(DOCUMENT.replace(old, new, 1), "a.toml", words)
    facts = refused.value.facts
    assert (refused.value.code, facts["key"], facts["line"], facts["file"]) == (code, key, line, "a.toml")


def test_a_rule_without_legal_basis_is_refused(words: Vocabulary) -> None:
    text = re.sub(r"\[basis\].*?\n\n", "", DOCUMENT, flags=re.DOTALL)
    with pytest.raises(Invalid) as refused:
        parse_rule(text, "a.toml", words)
    assert refused.value.code == "rule_without_basis"


def test_everything_that_is_wrong_is_told_at_once(words: Vocabulary) -> None:
    text = DOCUMENT.replace('"dossier"', '"dosier"').replace("in_force_until = 2027-01-01\n", "")
    rule, problems = check_rule(text, "a.toml", words)
    assert rule is None
    assert {problem.code for problem in problems} == {"unknown_fact", "rule_without_end"}


def test_a_forbid_may_not_hang_on_the_presence_of_a_fact(words: Vocabulary) -> None:
    text = DOCUMENT.replace('"permit"', '"forbid"').replace("is = true", "present = true")
    text = text[: text.index("[obligations]")]
    with pytest.raises(Invalid) as refused:
        parse_rule(text, "a.toml", words)
    assert (refused.value.code, refused.value.facts["key"]) == ("rule_malformed", "conditions[0].present")


def test_a_pattern_may_name_the_fields_of_all_resources_it_covers(words: Vocabulary) -> None:
    text = DOCUMENT.replace('"ksz/income"', '"ksz/*"').replace('["amount", "year"]', '["amount", "owner"]')
    assert parse_rule(text, "a.toml", words).fields == {"amount", "owner"}


def test_documents_that_are_too_large_or_not_toml_are_refused(words: Vocabulary) -> None:
    _, large = check_rule(DOCUMENT + "#" * LIMIT_BYTES, "a.toml", words)
    assert [problem.code for problem in large] == ["rule_too_large"]
    _, broken = check_rule(DOCUMENT + "\n[[ = 1\n", "a.toml", words)
    assert [(problem.code, problem.line > 30) for problem in broken] == [("rule_malformed", True)]
    _, deep = check_rule("a = " + "[" * 5000 + "]" * 5000, "a.toml", words)
    assert [problem.code for problem in deep] == ["rule_malformed"]
    _, surrogate = check_rule('id = "\ud800"', "a.toml", words)
    assert surrogate[0].code == "rule_malformed"
    with pytest.raises(TooLarge) as refused:
        parse_vocabulary("#" * (1 << 20) + "##")
    assert refused.value.code == "vocabulary_too_large"


@settings(max_examples=300)
@given(st.data())
def test_no_damage_to_a_document_gives_anything_but_a_rule_or_problems(
    words: Vocabulary, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(DOCUMENT)))
    length = data.draw(st.integers(0, 40))
    inserted = data.draw(
        st.sampled_from(["", "[", "]", '"', "=", "1", "true", "\x00", "é", "{}", "1e400", "nan"])
    )
    rule, problems = check_rule(DOCUMENT[:place] + inserted + DOCUMENT[place + length :], "a.toml", words)
    assert (rule is None) == bool(problems)
    if rule is not None:
        assert rule_from_document(rule_document(rule)) == rule


@given(st.integers(0, 2**40).map(random.Random))
def test_a_rule_survives_its_canonical_document_and_its_digest_names_it(
    world: Any, rng: random.Random
) -> None:
    rule, other = world.random_rule(rng, "r"), world.random_rule(rng, "r")
    assert rule_from_document(rule_document(rule)) == rule
    assert canonical(rule_document(rule)) == canonical(rule_document(rule_from_document(rule_document(rule))))
    assert (rule_digest(rule) == rule_digest(other)) == (rule == other)


@pytest.mark.parametrize(
    "damage",
    [
        lambda document: document | {"extra": 1},
        lambda document: {key: value for key, value in document.items() if key != "author"},
        lambda document: document | {"actions": [*document["actions"][::-1], "z"]},
        lambda document: document | {"in_force_from": "yesterday"},
        lambda document: document | {"obligations": None},
        lambda document: document | {"obligations": document["obligations"] | {"log": "loud"}},
    ],
)
def test_what_is_not_a_canonical_document_is_refused(world: Any, damage: Any) -> None:
    with pytest.raises(Invalid) as refused:
        rule_from_document(damage(rule_document(world.rule(actions={"x", "a"}))))
    assert refused.value.code == "rule_malformed"


def test_the_order_in_which_lists_are_written_does_not_change_the_digest(words: Vocabulary) -> None:
    swapped = DOCUMENT.replace('["amount", "year"]', '["year", "amount"]')
    assert rule_digest(parse_rule(DOCUMENT, "a", words)) == rule_digest(parse_rule(swapped, "b", words))


def test_folders_are_read_whole_and_every_problem_names_its_file(words: Vocabulary, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.toml").write_text(DOCUMENT)
    (tmp_path / "sub" / "b.toml").write_text(DOCUMENT.replace("housing.consult", "b"))
    (tmp_path / "vocabulary.toml").write_text(WORDS)
    assert [rule.id for rule in parse_rules(tmp_path)] == ["housing.consult", "b"]
    (tmp_path / "c.toml").write_bytes(b"\xff")
    (tmp_path / "d.toml").write_text("x = 1")
    with pytest.raises(Invalid) as refused:
        read_rules([tmp_path], words)
    files = [Path(problem["file"]).name for problem in refused.value.facts["problems"]]
    assert files == ["c.toml", "d.toml"]
    assert refused.value.code == "rule_unreadable"


def test_a_vocabulary_with_unknown_keys_or_missing_languages_is_refused(tmp_path: Path) -> None:
    for text in (WORDS + "[colours]\n", WORDS.replace(', en = "c"', "", 1), WORDS.replace("yes_no", "maybe")):
        with pytest.raises(Invalid) as refused:
            parse_vocabulary(text)
        assert refused.value.code == "vocabulary_malformed"
    with pytest.raises(Invalid) as missing:
        read_vocabulary(tmp_path)
    assert missing.value.code == "vocabulary_missing"
    vocabulary = parse_vocabulary(WORDS)
    assert vocabulary_from_document(vocabulary.document()) == vocabulary


def test_a_rule_names_how_long_an_answer_may_be_kept_or_nothing_is(words: Vocabulary) -> None:
    without = parse_rule(DOCUMENT, "a.toml", words)
    kept = parse_rule(
        DOCUMENT.replace("depth_days = 30", "depth_days = 30\ncache_seconds = 60"), "a.toml", words
    )
    assert (without.obligations.cache_seconds, kept.obligations.cache_seconds) == (0, 60)
    assert rule_document(kept)["obligations"]["cache_seconds"] == 60
    assert rule_from_document(rule_document(kept)) == kept
    assert rule_digest(kept) != rule_digest(without)


def test_a_rule_that_lets_nothing_be_kept_has_the_digest_that_was_signed_before(words: Vocabulary) -> None:
    # Of the same document, before an answer could be kept at all.
    signed = "359e296c3516f93cedc57bbdb216d39e2892ce3e14afef1a96ef0c5dd97fffd6"
    assert rule_digest(parse_rule(DOCUMENT, "a.toml", words)) == signed
    document = rule_document(parse_rule(DOCUMENT, "a.toml", words))
    document["obligations"]["cache_seconds"] = 0
    with pytest.raises(Invalid) as refused:
        rule_from_document(document)
    assert refused.value.code == "rule_malformed"


def test_of_the_demo_regions_rules_only_what_the_cbe_says_of_enterprises_may_be_kept() -> None:
    keys = {"keep", "yes_no", "masks", "watermark", "depth_days", "second_person", "log", "reason"}
    kept = {}
    for rule in parse_rules(DEMO):
        if rule.obligations.cache_seconds:
            kept[rule.id] = rule.obligations.cache_seconds
        else:
            assert rule_document(rule)["obligations"].keys() == keys
    assert kept == {"contractor-check.kbo-enterprise": 60}


def test_the_rules_of_the_demo_region_are_well_formed_and_marked() -> None:
    rules = parse_rules(DEMO)
    assert {rule.resource for rule in rules} >= {
        "flow/social-dwelling-admission",
        "rijksregister/person",
        "rijksregister/household",
        "ksz/income",
        "ksz/property",
        "kbo/functions",
    }
    for rule in rules:
        assert "(demo)" in rule.title.nl
        assert "(démo)" in rule.title.fr
    flows = [rule for rule in rules if rule.resource.startswith("flow/")]
    assert {action for rule in flows for action in rule.actions} == {
        "consult",
        "communicate",
        "announce",
        "answer",
    }
    assert all(
        "income_within_ceiling" in rule.obligations.yes_no
        for rule in flows
        if rule.resource == "flow/social-dwelling-admission"
    )
