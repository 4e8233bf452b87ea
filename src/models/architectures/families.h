#pragma once

#include "models/architecture.h"

namespace autoglm {

// One function a family, each in the file of its name.
const Architecture& Llama();    // llama.cc: Llama 2 and 3, SmolLM2
const Architecture& Qwen2();    // qwen.cc: Qwen 2 and 2.5
const Architecture& Qwen3();    // qwen.cc
const Architecture& Gemma2();   // gemma.cc
const Architecture& Gemma3();   // gemma.cc
const Architecture& ChatGlm();  // glm.cc: ChatGLM2, ChatGLM3, GLM-4-9B in their original code
const Architecture& Glm();      // glm.cc: glm-4-9b-hf
const Architecture& Glm4();     // glm.cc: GLM-4-0414, GLM-Z1, the text part of GLM-4.1V
const Architecture& Glm4Moe();  // glm_moe.cc: GLM-4.5, 4.6, 4.7

// What the families share. Errors: kUnsupported for another activation than `wanted`.
Status RequireActivation(const ConfigFields& fields, std::string_view key, std::string_view wanted);

}  // namespace autoglm
