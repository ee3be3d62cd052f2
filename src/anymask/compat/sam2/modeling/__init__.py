"""Where the reference's package has its networks; of anymask's, what programs look into."""
