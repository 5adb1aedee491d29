"""Training of sway, the model that ships with stir."""
