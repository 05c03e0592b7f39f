import json

import pytest

from reconciler.core.alerts.alert import TEXT_LENGTH_MAX, AlertStatus, Severity, alert_from_document


def test_it_survives_json(drift):
    alert = drift(severity=Severity.CRITICAL, status=AlertStatus.RESOLVED, ended_s=1_767_225_700.25)
    assert alert_from_document(json.loads(json.dumps(alert.document()))) == alert


def test_its_identity_is_what_it_is_about(drift):
    firing, resolved = drift(), drift(status=AlertStatus.RESOLVED, since_s=9.0, summary="Gone.", live="present")
    assert firing.identity == resolved.identity == "60f216ba1c853d50a02c759b85a7f5ae"
    assert firing.transition != resolved.transition
    for field in ("pair", "controller", "resource", "subject"):
        assert drift(**{field: "other"}).identity != firing.identity


def test_the_same_transition_has_one_id(drift):
    assert drift(live="other").transition == drift().transition
    assert drift(since_s=5).transition == drift(since_s=5.0).transition != drift().transition


def test_long_texts_are_cut(drift):
    assert drift(live="x" * 5000).live == "x" * (TEXT_LENGTH_MAX - 1) + "…"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"live": 3}, "'live' of an alert is not a text"),
        ({"since_s": "now"}, "'since_s' of an alert is not a number"),
        ({"kind": "earthquake"}, "'earthquake' is not a valid AlertKind"),
    ],
)
def test_documents_that_do_not_fit_are_refused(drift, change, complaint):
    with pytest.raises(ValueError, match=complaint):
        alert_from_document({**drift().document(), **change})


def test_a_field_of_a_newer_release_is_passed_over(drift):
    assert alert_from_document({**drift().document(), "colour": "red"}) == drift()


def test_a_missing_field_is_named(drift):
    document = drift().document()
    del document["subject"]
    with pytest.raises(ValueError, match="subject"):
        alert_from_document(document)
