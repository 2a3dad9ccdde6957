"""What starts runs: sensors, the schedule, and the jobs that they start."""
