"""Delivery of alerts to the outside: Alertmanager, webhooks, and mail or chat."""
