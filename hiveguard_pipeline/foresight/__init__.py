"""What is to come: how long until labels are ready, and what another policy would have made."""
