"""Which jobs there are, in what order, how long they take, and whether there is time."""
