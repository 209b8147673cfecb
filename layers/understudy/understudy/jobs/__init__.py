"""Videos in the making: from the wish to the bytes in our bucket."""
