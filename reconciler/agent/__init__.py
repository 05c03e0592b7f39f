"""The agent (the reconciler): select a revision, observe, plan, perform, publish, alert."""
