"""What votes say of labels and of people: agreement, solvers, aggregation, calibrated probability."""
