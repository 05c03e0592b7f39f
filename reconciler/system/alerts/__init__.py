"""Delivery of alerts to Alertmanager, webhooks, mail and chat.

outbox              alerts on disk until each target has received them
delivery            one thread for each target: tries, pauses, drops
targets             kinds and names of targets; `target_secrets`: which files may hold their secrets
sender              the interface of a target; `alertmanager`, `webhook` and `chat` implement it
"""
