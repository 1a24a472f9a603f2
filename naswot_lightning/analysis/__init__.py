"""What the results of trained picks say: pure functions of records, which print and write nothing."""
