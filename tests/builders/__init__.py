"""What tests of several folders build their worlds with. A test module imports from here alone."""
