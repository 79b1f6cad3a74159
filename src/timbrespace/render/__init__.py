"""From latents to sound: points, paths, morphs, whole sounds."""
