"""What the tests of several rooms share: a clock to wind, an upstream to script."""
