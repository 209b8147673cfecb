"""What runs beside the stack on a laptop; nothing here is deployed."""
