"""What runs in a VM, and where its images come from."""
