"""What can be told of image files and boxes without decoding a picture."""
