from prometheus_client.parser import text_string_to_metric_families

from reconciler import __version__
from reconciler.agent.metrics import RESOURCE_COUNT_MAX, Metrics


def samples(metrics):
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value for family in families for sample in family.samples
    }


def test_every_figure_is_there_for_prometheus():
    metrics = Metrics("tank", "a")
    metrics.reconciled(0.02, success=True, now_s=1000.0)
    metrics.reconciled(0.2, success=False, now_s=2000.0)
    metrics.revision("3f2c1ab", signed=True, applied_s=900.0)
    metrics.trust("0123456789abcdef")
    metrics.source({"origin": True, "backup": False})
    metrics.suspended(True)
    metrics.alerts({"am": 3}, 2)
    metrics.delivered("am", 4)
    metrics.delivery_failed("am")
    metrics.collapsed("am", 5)
    metrics.action("create", "ADDRESS", "done")
    metrics.look("event")
    metrics.drift({("Interface/storage0", "heal"): 2})
    got = samples(metrics)
    expected = {
        ("hagit_build_info", ("controller", "a"), ("pair", "tank"), ("version", __version__)): 1,
        ("hagit_reconcile_duration_seconds_count",): 2,
        ("hagit_reconcile_duration_seconds_bucket", ("le", "0.025")): 1,
        ("hagit_last_reconcile_success_timestamp_seconds",): 1000,
        ("hagit_reconcile_failing",): 1,
        ("hagit_revision_info", ("commit", "3f2c1ab"), ("signed", "yes")): 1,
        ("hagit_trust_info", ("digest", "0123456789abcdef")): 1,
        ("hagit_applied_timestamp_seconds",): 900,
        ("hagit_source_reachable", ("remote", "origin")): 1,
        ("hagit_source_reachable", ("remote", "backup")): 0,
        ("hagit_suspended",): 1,
        ("hagit_alerts_pending", ("target", "am")): 3,
        ("hagit_alerts_firing",): 2,
        ("hagit_alerts_delivered_total", ("target", "am")): 4,
        ("hagit_alerts_delivery_failures_total", ("target", "am")): 1,
        ("hagit_alerts_collapsed_total", ("target", "am")): 5,
        ("hagit_actions_total", ("outcome", "done"), ("stage", "ADDRESS"), ("verb", "create")): 1,
        ("hagit_looks_total", ("trigger", "event")): 1,
        ("hagit_drift", ("mode", "heal"), ("resource", "Interface/storage0")): 2,
    }
    assert {key: got.get(key) for key in expected} == expected


def test_ended_drift_and_old_revisions_disappear():
    metrics = Metrics()
    metrics.drift({("Interface/x", "warn"): 1})
    metrics.drift({})
    metrics.revision("aaa", signed=False, applied_s=1.0)
    metrics.revision("bbb", signed=False, applied_s=2.0)
    names = samples(metrics)
    assert not [key for key in names if key[0] == "hagit_drift"]
    assert [key[1] for key in names if key[0] == "hagit_revision_info"] == [("commit", "bbb")]


def test_the_number_of_resources_is_bounded_and_none_is_hidden():
    metrics = Metrics()
    metrics.drift({(f"Interface/n{number:05}", "warn"): 1 for number in range(RESOURCE_COUNT_MAX + 7)})
    drifting = {key: value for key, value in samples(metrics).items() if key[0] == "hagit_drift"}
    assert len(drifting) == RESOURCE_COUNT_MAX + 1
    assert drifting[("hagit_drift", ("mode", "warn"), ("resource", "(others)"))] == 7
