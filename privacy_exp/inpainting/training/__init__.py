"""How inpainting checkpoints are made: autoencoder, UNet with text encoder, export."""
