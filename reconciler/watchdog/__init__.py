"""hagit's failover daemon: one event loop around the pure core of `core/failover`, which makes the decisions.

Read in this order:

- `main` (what a start does), `event_loop`, `daemon` (gives the core its events, performs its outputs), `ports` (the
  parts that the daemon uses);
- network: `heartbeats`, `virtual_addresses`, `carp_advertiser`, `pair_keys`, `version_negotiator`;
- disks and pools: `dispatcher`, `disk_records`, `import_attempts`; and the worker processes, which may block:
  `worker_pool`, `worker_handle`, `worker_protocol`, `worker_process`, `fork_server_handle`, `fork_server`;
- files: `durable_state` (what outlives the daemon), `elapsed_time`, `published_files` (orders and power plan);
- operators: `control_requests`, `status_publisher`, `timeline`, `power_fencing`, `takeover_audits`;
- replacing a running daemon: `daemon_process`, `successor_handle`, `successor`, `handover`, `systemd_service`.
"""
