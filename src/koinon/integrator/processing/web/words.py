"""What the pages of processing say about kinds and about refusals, and how they read what was typed."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from litestar import Request

from koinon.base.errors import Invalid, KoinonError
from koinon.base.text import Text
from koinon.portal import N_, Message, portal_of
from koinon.trust.parties import OPERATOR
from koinon.trust.parties.sign_in import Session

KINDS = {
    "cells": (N_("table of groups"), "info"),
    "rows": (N_("anonymous rows"), "good"),
    "noisy": (N_("numbers with noise"), "neutral"),
}
problems = {
    "privacy_budget_spent": N_(
        "The privacy budget of this data set does not hold so much: %(left_epsilon)s of epsilon is left."
    ),
    "privacy_price_malformed": N_(
        "Epsilon is more than zero and at most %(most_epsilon)s, delta at most %(most_delta)s."
    ),
    "privacy_query_malformed": N_(
        "This question is not whole: a sum needs a column and two bounds, counts by category a column and categories."
    ),
    "privacy_column_unknown": N_("The data set has no column %(column)s."),
    "privacy_column_inexact": N_(
        "The column %(column)s holds no whole numbers: of others no sum with noise is made."
    ),
    "privacy_subject_repeated": N_(
        "Somebody is in the data set twice: the noise would not hide them enough."
    ),
    "step_column_unknown": N_("The data set has no column %(column)s."),
    "step_value_malformed": N_("What %(column)s is compared with does not fit the column."),
    "publication_differencing": N_(
        "Beside an earlier publication of the same data set (%(table)s) this one would tell about a few persons."
    ),
    "publication_rows_exist": N_(
        "Rows of this data set were published before: two such tables could be joined."
    ),
    "publication_unknown": N_("There is no such publication, or it was withdrawn."),
    "publication_busy": N_("Somebody else publishes of this data set at this moment. Try again."),
    "data_set_unknown": N_("There is no data set with this name."),
    "data_set_known": N_("There is a data set with this name."),
    "data_set_same": N_(
        "These rows are registered already, as %(name)s: under a second name they would have a second budget."
    ),
    "anonymity_not_reachable": N_("The rows cannot be made as anonymous as was asked."),
    "anonymity_malformed": N_(
        "Choose at least one column that could point to somebody; k is 2 or more, l more than 1 only with a sensitive "
        "column, and at most 5 percent may be left out."
    ),
    "anonymity_column_unknown": N_("The data set has no column %(column)s."),
    "anonymity_column_kind": N_("The column %(column)s has no order: it cannot be made a range."),
    "hierarchy_malformed": N_(
        "The groups of %(column)s do not fit together at “%(at)s”. Each value stands once, with as many groups as the "
        "others; each group lies in one larger group, and no name stands on two levels."
    ),
    "hierarchy_incomplete": N_(
        "Some values of %(column)s are in no group: give every value that the column has."
    ),
    "draft_unknown": N_("There is no such draft."),
    "draft_over": N_("This was published, thrown away or changed meanwhile."),
    "draft_not_agreed": N_("No second operator has given their word for this."),
    "draft_changed": N_("This is not what was agreed on: the word is void. Propose it anew."),
    "drafts_too_many": N_("So many proposals wait already. Publish or throw away some."),
    "word_of_another": N_("Only who gave the word can take it back."),
    "word_lapsed": N_("Who gave the word may not act as an operator now: another one has to."),
    "making_unknown": N_("There are no such rows."),
    "making_not_ready": N_("These rows are not ready to be published, or were published or thrown away."),
    "making_failed": N_("Making them failed again and again; the operator of the platform looks into it."),
    "makings_too_many": N_("So many are being made already. Wait until one is done."),
    "cluster_column_unknown": N_("The data set has no column %(column)s."),
    "cluster_too_large": N_("The table would have too many cells."),
    "cluster_subject_repeated": N_("Somebody is in the data set twice: the numbers would not add up."),
    "dimensions_malformed": N_("Name one to four different columns."),
    "minimum_too_low": N_("The minimum is at least %(least)s."),
    "pseudonym_malformed": N_("This is no pseudonym of this platform."),
    "pseudonym_period_over": N_("This pseudonym is of a period that is over."),
    "pseudonym_unknown": N_("This pseudonym was not made for this recipient and purpose."),
    "pseudonym_for_oneself": N_(
        "Nobody makes pseudonyms for oneself: who knows both could find out whom they stand for without a case."
    ),
    "pseudonyms_too_many": N_("At most %(most)s at once."),
    "recipient_unknown": N_("This party takes no part, or takes no pseudonyms."),
    "reason_too_short": N_("Say why, in %(least)s to %(most)s characters."),
    "second_person_same": N_("The second person must be another human."),
    "reidentification_unknown": N_("Your party has no such case, or it is another person's."),
    "reidentification_approved": N_("This case was confirmed already."),
    "reidentification_over": N_("This case is over: it was used, or a day went by."),
    "reidentification_not_approved": N_("A second person has not approved this case yet."),
    "processing_memory": N_("There is not memory enough for so many rows."),
    # What an operator registers, and the steps of a flow.
    "data_set_name_malformed": N_(
        "The name of a data set has small letters and digits, with - between them; at most 64 characters."
    ),
    "data_set_subject_missing": N_("The rows need a column subject: whom each is about."),
    "budget_unknown": N_("This data set has no privacy budget, so nothing can be told about it."),
    "step_table_unknown": N_("There is no table %(table)s."),
    "step_column_twice": N_("The table has a column %(column)s already. Do not take the other one."),
    "join_not_unique": N_(
        "In the table %(table)s a key stands twice, so it cannot be joined. Make its rows unique first."
    ),
    "flow_subject_missing": N_("The first column of %(flow)s must be subject: whom each row is about."),
    "flow_table_missing": N_("The flow %(flow)s needs the table %(table)s."),
    "flow_table_unknown": N_("The flow %(flow)s knows no table %(table)s."),
    "flow_column_missing": N_("The flow %(flow)s needs the column %(column)s in the table %(table)s."),
    "flow_column_unknown": N_("The flow %(flow)s knows no column %(column)s in the table %(table)s."),
    "flow_value_malformed": N_(
        "A value that was given to %(flow)s does not fit its column, or cannot be computed with."
    ),
    # Tables of groups.
    "publication_kind": N_("This publication is of another kind: a table of groups, or anonymous rows."),
    "measure_malformed": N_("A sum names its column, and a count names none."),
    "dominance_missing": N_("A sum needs a rule of dominance: p, or n and k."),
    "dominance_malformed": N_(
        "Dominance is asked of a sum only: p from 1 to 100, or n from 1 to 5 with k from 1 to 99."
    ),
    "cluster_value_negative": N_("The column %(column)s has values below zero: no sum of them is published."),
    "cluster_value_inexact": N_(
        "The column %(column)s has no exact numbers: a sum needs whole numbers, or at most six decimals."
    ),
    "cluster_value_too_large": N_("A total is too large to be kept exact. Sum in thousands."),
    "cluster_category_reserved": N_(
        "A category is called %(category)s, which stands for the total. Rename it in the rows."
    ),
}


def operates(viewer: Any) -> bool:
    """Whether the menu shows what is an operator's."""
    return isinstance(viewer, Session) and viewer.profile == OPERATOR


def words_of(request: Request[Any, Any, Any], error: KoinonError, otherwise: Message) -> Message:
    """What a page says about a refusal."""
    return portal_of(request).problems.get(error.code, otherwise)


def typed(sent: Mapping[str, Any], most: int = 200) -> dict[str, str]:
    """What a form holds, by name, as text."""
    return {name: str(value)[:most].replace("\0", "").strip() for name, value in sent.items()}


def title_of(form: Mapping[str, str], otherwise: str) -> Text:
    """The three titles; where one is missing, another one's, and the name of the data set where all are."""
    given = [form.get(f"title_{language}", "") for language in ("nl", "fr", "en")]
    first = next((each for each in given if each), otherwise)
    return Text(*(each or first for each in given))


def whole(text: str, code: str, **facts: Any) -> int:
    """A whole number as typed. Raises `Invalid` with `code`."""
    try:
        return int(text.replace(" ", ""))
    except ValueError:
        raise Invalid(code, **facts) from None


def decimal(text: str, code: str, **facts: Any) -> Decimal:
    """A number as typed, with a point or a comma. Raises `Invalid` with `code`."""
    try:
        found = Decimal(text.replace(",", "."))
    except InvalidOperation:
        raise Invalid(code, **facts) from None
    if not found.is_finite():
        raise Invalid(code, **facts)
    return found
