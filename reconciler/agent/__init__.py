"""The agent: makes a controller what the followed commit asks for, and reports what differs.

Modules in the order in which a commit passes through them:

    daemon              the loop of `hagit agent`: kernel events, the source, the clock
    source/             which commit of the branch should be in force (`source/selector`), and its content
    reconciliation      one run: observe, apply a new revision, detect drift, heal it
    host                observes and changes the live network, and the pools on the active controller
    apply, executor     a plan is proposed, and its actions are performed one by one behind `apply_journal`
    orders_file         the orders for the watchdog; beside it `power_file`, `unit_file`, `shares_file`
    pair_monitor        the status of the watchdog becomes alerts and `pair_metrics`
    status_publisher    the status document, the health page and the metrics

`session` opens a controller for the agent and for every command. `store` is the state directory. Planning, drift and
the building of alerts are pure (`core/planning`, `core/alerts`); adapters are in `system/`.
"""
