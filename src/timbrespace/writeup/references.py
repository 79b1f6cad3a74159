"""The works that a paper can cite, as BibTeX by key; a paper has those that it cites and no other."""

import re
from collections.abc import Iterable

ENTRIES = {
    "bengio2013": r"""@article{bengio2013,
  author = {Bengio, Yoshua and L{\'e}onard, Nicholas and Courville, Aaron},
  title = {Estimating or Propagating Gradients Through Stochastic Neurons for Conditional Computation},
  journal = {arXiv:1308.3432}, year = {2013}
}""",
    "binkowski2018": r"""@inproceedings{binkowski2018,
  author = {Bi{\'n}kowski, Miko{\l}aj and Sutherland, Danica J. and Arbel, Michael and Gretton, Arthur},
  title = {Demystifying {MMD} {GANs}},
  booktitle = {International Conference on Learning Representations}, year = {2018}
}""",
    "chen2018": r"""@inproceedings{chen2018,
  author = {Chen, Ricky T. Q. and Li, Xuechen and Grosse, Roger and Duvenaud, David},
  title = {Isolating Sources of Disentanglement in Variational Autoencoders},
  booktitle = {Advances in Neural Information Processing Systems}, year = {2018}
}""",
    "cheveigne2002": r"""@article{cheveigne2002,
  author = {de Cheveign{\'e}, Alain and Kawahara, Hideki},
  title = {{YIN}, a fundamental frequency estimator for speech and music},
  journal = {Journal of the Acoustical Society of America}, volume = {111}, number = {4},
  pages = {1917--1930}, year = {2002}
}""",
    "cortes2012": r"""@article{cortes2012,
  author = {Cortes, Corinna and Mohri, Mehryar and Rostamizadeh, Afshin},
  title = {Algorithms for Learning Kernels Based on Centered Alignment},
  journal = {Journal of Machine Learning Research}, volume = {13}, pages = {795--828}, year = {2012}
}""",
    "eastwood2018": r"""@inproceedings{eastwood2018,
  author = {Eastwood, Cian and Williams, Christopher K. I.},
  title = {A Framework for the Quantitative Evaluation of Disentangled Representations},
  booktitle = {International Conference on Learning Representations}, year = {2018}
}""",
    "efron1979": r"""@article{efron1979,
  author = {Efron, Bradley},
  title = {Bootstrap Methods: Another Look at the Jackknife},
  journal = {The Annals of Statistics}, volume = {7}, number = {1}, pages = {1--26}, year = {1979}
}""",
    "engel2017": r"""@inproceedings{engel2017,
  author = {Engel, Jesse and Resnick, Cinjon and Roberts, Adam and Dieleman, Sander and Norouzi, Mohammad
    and Eck, Douglas and Simonyan, Karen},
  title = {Neural Audio Synthesis of Musical Notes with {WaveNet} Autoencoders},
  booktitle = {International Conference on Machine Learning}, year = {2017}
}""",
    "engel2020": r"""@inproceedings{engel2020,
  author = {Engel, Jesse and Hantrakul, Lamtharn and Gu, Chenjie and Roberts, Adam},
  title = {{DDSP}: Differentiable Digital Signal Processing},
  booktitle = {International Conference on Learning Representations}, year = {2020}
}""",
    "fluidr3": r"""@misc{fluidr3,
  author = {Wen, Frank},
  title = {{FluidR3 GM}},
  note = {SoundFont, MIT licence}, year = {2008}
}""",
    "fu2019": r"""@inproceedings{fu2019,
  author = {Fu, Hao and Li, Chunyuan and Liu, Xiaodong and Gao, Jianfeng and Celikyilmaz, Asli and Carin,
    Lawrence},
  title = {Cyclical Annealing Schedule: A Simple Approach to Mitigating {KL} Vanishing},
  booktitle = {Conference of the North American Chapter of the Association for Computational
    Linguistics}, year = {2019}
}""",
    "ganin2015": r"""@inproceedings{ganin2015,
  author = {Ganin, Yaroslav and Lempitsky, Victor},
  title = {Unsupervised Domain Adaptation by Backpropagation},
  booktitle = {International Conference on Machine Learning}, year = {2015}
}""",
    "gretton2005": r"""@inproceedings{gretton2005,
  author = {Gretton, Arthur and Bousquet, Olivier and Smola, Alex and Sch{\"o}lkopf, Bernhard},
  title = {Measuring Statistical Dependence with {Hilbert-Schmidt} Norms},
  booktitle = {Algorithmic Learning Theory}, year = {2005}
}""",
    "higgins2017": r"""@inproceedings{higgins2017,
  author = {Higgins, Irina and Matthey, Loic and Pal, Arka and Burgess, Christopher and Glorot, Xavier and
    Botvinick, Matthew and Mohamed, Shakir and Lerchner, Alexander},
  title = {beta-{VAE}: Learning Basic Visual Concepts with a Constrained Variational Framework},
  booktitle = {International Conference on Learning Representations}, year = {2017}
}""",
    "hoffman2016": r"""@inproceedings{hoffman2016,
  author = {Hoffman, Matthew D. and Johnson, Matthew J.},
  title = {{ELBO} surgery: yet another way to carve up the variational evidence lower bound},
  booktitle = {NIPS Workshop on Advances in Approximate Bayesian Inference}, year = {2016}
}""",
    "kilgour2019": r"""@inproceedings{kilgour2019,
  author = {Kilgour, Kevin and Zuluaga, Mauricio and Roblek, Dominik and Sharifi, Matthew},
  title = {Fr{\'e}chet Audio Distance: A Reference-Free Metric for Evaluating Music Enhancement
    Algorithms},
  booktitle = {Interspeech}, year = {2019}
}""",
    "kingma2014": r"""@inproceedings{kingma2014,
  author = {Kingma, Diederik P. and Welling, Max},
  title = {Auto-Encoding Variational {Bayes}},
  booktitle = {International Conference on Learning Representations}, year = {2014}
}""",
    "kingma2016": r"""@inproceedings{kingma2016,
  author = {Kingma, Diederik P. and Salimans, Tim and Jozefowicz, Rafal and Chen, Xi and Sutskever, Ilya
    and Welling, Max},
  title = {Improved Variational Inference with Inverse Autoregressive Flow},
  booktitle = {Advances in Neural Information Processing Systems}, year = {2016}
}""",
    "kruskal1964": r"""@article{kruskal1964,
  author = {Kruskal, J. B.},
  title = {Multidimensional scaling by optimizing goodness of fit to a nonmetric hypothesis},
  journal = {Psychometrika}, volume = {29}, number = {1}, pages = {1--27}, year = {1964}
}""",
    "kumar2018": r"""@inproceedings{kumar2018,
  author = {Kumar, Abhishek and Sattigeri, Prasanna and Balakrishnan, Avinash},
  title = {Variational Inference of Disentangled Latent Concepts from Unlabeled Observations},
  booktitle = {International Conference on Learning Representations}, year = {2018}
}""",
    "loaiza2019": r"""@inproceedings{loaiza2019,
  author = {Loaiza-Ganem, Gabriel and Cunningham, John P.},
  title = {The continuous {Bernoulli}: fixing a pervasive error in variational autoencoders},
  booktitle = {Advances in Neural Information Processing Systems}, year = {2019}
}""",
    "loshchilov2017": r"""@inproceedings{loshchilov2017,
  author = {Loshchilov, Ilya and Hutter, Frank},
  title = {{SGDR}: Stochastic Gradient Descent with Warm Restarts},
  booktitle = {International Conference on Learning Representations}, year = {2017}
}""",
    "loshchilov2019": r"""@inproceedings{loshchilov2019,
  author = {Loshchilov, Ilya and Hutter, Frank},
  title = {Decoupled Weight Decay Regularization},
  booktitle = {International Conference on Learning Representations}, year = {2019}
}""",
    "mentzer2024": r"""@inproceedings{mentzer2024,
  author = {Mentzer, Fabian and Minnen, David and Agustsson, Eirikur and Tschannen, Michael},
  title = {Finite Scalar Quantization: {VQ-VAE} Made Simple},
  booktitle = {International Conference on Learning Representations}, year = {2024}
}""",
    "naeem2020": r"""@inproceedings{naeem2020,
  author = {Naeem, Muhammad Ferjad and Oh, Seong Joon and Uh, Youngjung and Choi, Yunjey and Yoo, Jaejun},
  title = {Reliable Fidelity and Diversity Metrics for Generative Models},
  booktitle = {International Conference on Machine Learning}, year = {2020}
}""",
    "nieradzik2025": r"""@article{nieradzik2025,
  author = {Nieradzik, Lars},
  title = {{SwiftF0}: Fast and Accurate Monophonic Pitch Detection},
  journal = {arXiv:2508.18440}, year = {2025}
}""",
    "oord2017": r"""@inproceedings{oord2017,
  author = {van den Oord, Aaron and Vinyals, Oriol and Kavukcuoglu, Koray},
  title = {Neural Discrete Representation Learning},
  booktitle = {Advances in Neural Information Processing Systems}, year = {2017}
}""",
    "peeters2011": r"""@article{peeters2011,
  author = {Peeters, Geoffroy and Giordano, Bruno L. and Susini, Patrick and Misdariis, Nicolas and
    McAdams, Stephen},
  title = {The {Timbre Toolbox}: Extracting audio descriptors from musical signals},
  journal = {Journal of the Acoustical Society of America}, volume = {130}, number = {5},
  pages = {2902--2916}, year = {2011}
}""",
    "perez2018": r"""@inproceedings{perez2018,
  author = {Perez, Ethan and Strub, Florian and de Vries, Harm and Dumoulin, Vincent and Courville, Aaron},
  title = {{FiLM}: Visual Reasoning with a General Conditioning Layer},
  booktitle = {AAAI Conference on Artificial Intelligence}, year = {2018}
}""",
    "perraudin2013": r"""@inproceedings{perraudin2013,
  author = {Perraudin, Nathana{\"e}l and Balazs, Peter and S{\o}ndergaard, Peter L.},
  title = {A fast {Griffin-Lim} algorithm},
  booktitle = {IEEE Workshop on Applications of Signal Processing to Audio and Acoustics},
  year = {2013}
}""",
    "polyak1992": r"""@article{polyak1992,
  author = {Polyak, B. T. and Juditsky, A. B.},
  title = {Acceleration of Stochastic Approximation by Averaging},
  journal = {SIAM Journal on Control and Optimization}, volume = {30}, number = {4},
  pages = {838--855}, year = {1992}
}""",
    "pons2019": r"""@article{pons2019,
  author = {Pons, Jordi and Serra, Xavier},
  title = {musicnn: Pre-trained convolutional neural networks for music audio tagging},
  journal = {arXiv:1909.06654}, year = {2019}
}""",
    "prusa2017": r"""@article{prusa2017,
  author = {Pr{\r u}{\v s}a, Zden{\v e}k and Balazs, Peter and S{\o}ndergaard, Peter L.},
  title = {A Noniterative Method for Reconstruction of Phase From {STFT} Magnitude},
  journal = {IEEE/ACM Transactions on Audio, Speech, and Language Processing}, volume = {25},
  number = {5}, pages = {1154--1164}, year = {2017}
}""",
    "rousseeuw1987": r"""@article{rousseeuw1987,
  author = {Rousseeuw, Peter J.},
  title = {Silhouettes: a graphical aid to the interpretation and validation of cluster analysis},
  journal = {Journal of Computational and Applied Mathematics}, volume = {20}, pages = {53--65},
  year = {1987}
}""",
    "rybkin2021": r"""@inproceedings{rybkin2021,
  author = {Rybkin, Oleh and Daniilidis, Kostas and Levine, Sergey},
  title = {Simple and Effective {VAE} Training with Calibrated Decoders},
  booktitle = {International Conference on Machine Learning}, year = {2021}
}""",
    "schrittwieser2020": r"""@article{schrittwieser2020,
  author = {Schrittwieser, Julian and Antonoglou, Ioannis and Hubert, Thomas and others},
  title = {Mastering {A}tari, {G}o, chess and shogi by planning with a learned model},
  journal = {Nature}, volume = {588}, pages = {604--609}, year = {2020}
}""",
    "serra1990": r"""@article{serra1990,
  author = {Serra, Xavier and Smith, Julius},
  title = {Spectral Modeling Synthesis: A Sound Analysis/Synthesis System Based on a Deterministic Plus
    Stochastic Decomposition},
  journal = {Computer Music Journal}, volume = {14}, number = {4}, pages = {12--24}, year = {1990}
}""",
    "slaney1998": r"""@techreport{slaney1998,
  author = {Slaney, Malcolm},
  title = {Auditory Toolbox, Version 2},
  institution = {Interval Research Corporation}, number = {1998-010}, year = {1998}
}""",
    "sonderby2016": r"""@inproceedings{sonderby2016,
  author = {S{\o}nderby, Casper Kaae and Raiko, Tapani and Maal{\o}e, Lars and S{\o}nderby, S{\o}ren Kaae and
    Winther, Ole},
  title = {Ladder Variational Autoencoders},
  booktitle = {Advances in Neural Information Processing Systems}, year = {2016}
}""",
    "spall1998": r"""@article{spall1998,
  author = {Spall, James C.},
  title = {An Overview of the Simultaneous Perturbation Method for Efficient Optimization},
  journal = {Johns Hopkins APL Technical Digest}, volume = {19}, number = {4}, pages = {482--492}, year = {1998}
}""",
    "tian2025": r"""@inproceedings{tian2025,
  author = {Tian, Haokun and Lattner, Stefan and Saitis, Charalampos},
  title = {Assessing the Alignment of Audio Representations with Timbre Similarity Ratings},
  booktitle = {International Society for Music Information Retrieval Conference}, year = {2025},
  note = {arXiv:2507.07764}
}""",
    "vahdat2020": r"""@inproceedings{vahdat2020,
  author = {Vahdat, Arash and Kautz, Jan},
  title = {{NVAE}: A Deep Hierarchical Variational Autoencoder},
  booktitle = {Advances in Neural Information Processing Systems}, year = {2020}
}""",
    "vaswani2017": r"""@inproceedings{vaswani2017,
  author = {Vaswani, Ashish and Shazeer, Noam and Parmar, Niki and Uszkoreit, Jakob and Jones, Llion and
    Gomez, Aidan N. and Kaiser, {\L}ukasz and Polosukhin, Illia},
  title = {Attention Is All You Need},
  booktitle = {Advances in Neural Information Processing Systems}, year = {2017}
}""",
    "yamamoto2020": r"""@inproceedings{yamamoto2020,
  author = {Yamamoto, Ryuichi and Song, Eunwoo and Kim, Jae-Min},
  title = {Parallel {WaveGAN}: A Fast Waveform Generation Model Based on Generative Adversarial Networks
    with Multi-Resolution Spectrogram},
  booktitle = {IEEE International Conference on Acoustics, Speech and Signal Processing}, year = {2020}
}""",
    "zeghidour2021": r"""@article{zeghidour2021,
  author = {Zeghidour, Neil and Luebs, Alejandro and Omran, Ahmed and Skoglund, Jan and Tagliasacchi,
    Marco},
  title = {{SoundStream}: An End-to-End Neural Audio Codec},
  journal = {arXiv:2107.03312}, year = {2021}
}""",
}


def cited(texts: Iterable[str]) -> list[str]:
    """The keys that LaTeX texts cite, in the order of the alphabet."""
    keys = {
        key.strip()
        for text in texts
        for group in re.findall(r"\\cite\{([^}]*)\}", text)
        for key in group.split(",")
    }
    return sorted(keys)


def bibliography(keys: Iterable[str]) -> str:
    """The BibTeX file of these keys; KeyError for one that has no entry."""
    return "\n\n".join(ENTRIES[key] for key in keys) + "\n"
