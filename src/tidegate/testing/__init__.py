"""What tests of ASGI applications and of Tidegate itself stand on."""
