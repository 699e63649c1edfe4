"""The server against its own OpenAPI: no answer that it does not announce."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from causalseg.apps.limits import Limits

schemathesis = pytest.importorskip("schemathesis")
pytest.importorskip("fastapi")

TOKEN = "s3cret"
OPERATIONS = (("/segment", "POST"), ("/health", "GET"), ("/ready", "GET"), ("/metrics", "GET"))
EXAMPLES = {"/segment": 40}


@pytest.fixture
def openapi(segmenter, png):
    from causalseg.apps.schema import UPLOADS
    from causalseg.apps.server import create_app

    app = create_app(segmenter, Limits(wait_ms=0), TOKEN)
    kinds = st.one_of(st.just(png), st.binary(max_size=200), st.just(png[:100]))
    for name in UPLOADS:
        schemathesis.openapi.media_type(name, kinds)
    yield schemathesis.openapi.from_asgi("/openapi.json", app)
    app.state.service.close()


def with_sentence(case):
    """A schema cannot say that a text must have words; most that are drawn have none."""
    if isinstance(case.body, dict):
        case.body["text"] = ["lower left lung"]
    return case


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_is_one_that_the_schema_announces(openapi, path, method):
    # Two checks take a form for typed data. Any bytes are a string of the schema, but few are an
    # image; and the text "true" is one, for a form has no booleans (an empty field counts as left
    # out). test_server.py says what is refused.
    schemathesis.checks.load_all_checks()
    named = ("positive_data_acceptance", "negative_data_rejection")
    left_out = [schemathesis.checks.CHECKS.get_one(name) for name in named]
    operation = openapi[path][method]
    modes = schemathesis.GenerationMode
    sound = operation.as_strategy(generation_mode=modes.POSITIVE)
    cases = st.one_of(
        sound,
        *([sound.map(with_sentence)] if path == "/segment" else []),
        *([operation.as_strategy(generation_mode=modes.NEGATIVE)] if path == "/segment" else []),
    )
    seen = set()

    @settings(
        max_examples=EXAMPLES.get(path, 5),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def conform(case):
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = case.call_and_validate(headers=headers, excluded_checks=left_out)
        seen.add(answer.status_code)

    conform()
    assert seen >= ({200, 422} if path == "/segment" else {200})
