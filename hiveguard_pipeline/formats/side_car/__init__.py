"""The side-car: what an output folder keeps beside its files for the way back."""
