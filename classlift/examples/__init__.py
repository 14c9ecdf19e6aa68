"""RebalancedExampleGen: tf.Examples; train rebalanced, eval and test as they are."""
