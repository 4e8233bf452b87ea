#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace autoglm {

// What a file calls its tensors. An empty name: the family has no such tensor. Names inside a layer go behind `layer`, whose
// "{}" is the layer's index, and get ".weight" or ".bias".
struct TensorNames {
  std::string embedding, final_norm, lm_head;  // whole names
  std::string layer;

  std::string attention_norm, query, key, value, output;
  std::string query_key_value;  // the three stacked, where the file lacks `query`
  std::string query_norm, key_norm;
  std::string post_attention_norm;  // of what attention gives

  std::string mlp_norm, gate, up, down;
  std::string gate_up;        // gate over up, where the family has no `gate`
  std::string post_mlp_norm;  // of what the MLP gives

  std::string router, router_bias;                  // router_bias is a whole name behind `layer`
  std::string expert_gate, expert_up, expert_down;  // with "{}": one tensor an expert; else all stacked [experts, rows, columns]
  std::string shared_gate, shared_up, shared_down;
};

// As llama.cpp's converter names them.
TensorNames GgufNames();
// As Hugging Face's transformers names them.
TensorNames TransformersNames();

// `pattern` with its "{}" replaced.
std::string NumberedName(std::string_view pattern, int64_t number);

}  // namespace autoglm
