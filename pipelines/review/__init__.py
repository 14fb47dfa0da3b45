"""A local page over a build, a release or a labelled folder, on which a person looks and judges."""
