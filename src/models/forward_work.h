#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernel_table.h"

namespace autoglm {

// A forward pass of some sequences that each compute `num_tokens` tokens behind `depth` tokens and ask for the logits of the
// last.
struct ForwardShape {
  int64_t num_sequences = 1;
  int64_t num_tokens = 1;
  int64_t depth = 0;
};

// What such a pass has to multiply and to read at least, for estimates of how fast it can be: products of weights and of
// attention; weights and the keys and values of every sequence once each. Norms, rotations and activations are left out.
struct ForwardWork {
  struct Products {
    PeakOp op;
    double multiplications = 0;
  };
  std::vector<Products> products;  // one for each kind that there is
  int64_t bytes_read = 0;

  void Add(PeakOp op, double multiplications);
};

}  // namespace autoglm
