"""Apply a method to a network: choose the values to read, build the view that the method gets, find map sizes."""
