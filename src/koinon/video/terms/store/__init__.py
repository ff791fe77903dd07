"""The SQL of terms."""
