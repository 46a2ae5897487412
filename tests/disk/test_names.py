"""Names of files and folders: the document says what the gateway takes."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.disk.form import is_file_name
from tests.support.documents import OPENAPI_YAML, load_yaml

SCHEMA = load_yaml(OPENAPI_YAML)["components"]["schemas"]["DiskName"]
ODD = st.text(st.sampled_from(" .\t\x00\x7f\x85\xa0/\\a"), max_size=4)


@given(st.one_of(ODD, st.text(st.characters(exclude_categories=["Cs"]))))
@example("a" * 256)
@example("a" * 255)
def test_the_pattern_of_the_document_is_the_rule(name: str) -> None:
    fits = re.fullmatch(SCHEMA["pattern"], name) is not None
    is_short = SCHEMA["minLength"] <= len(name) <= SCHEMA["maxLength"]
    assert (fits and is_short) == is_file_name(name)
