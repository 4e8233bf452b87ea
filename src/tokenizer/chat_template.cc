#include "tokenizer/chat_template.h"

#include <utility>

#include "tokenizer/jinja_ast.h"
#include "tokenizer/jinja_context.h"
#include "tokenizer/jinja_interpreter.h"
#include "tokenizer/jinja_parser.h"

// The subset of Jinja2:
//   statements   for (unpacking, if, else, loop.*, break, continue), if, set (names, namespace attributes, blocks), macro,
//                generation, raw, comments, white space control
//   expressions  all operators, chained comparison, conditional, slices, calls with named arguments, literals
//   filters      jinja_*_filters.cc; tests: jinja_predicates.cc; functions: jinja_functions.cc
//   methods      jinja_methods.cc, jinja_string_methods.cc
// What values do follows Python: https://docs.python.org/3/library/stdtypes.html,
// https://jinja.palletsprojects.com/en/stable/templates/
namespace autoglm {

struct ChatTemplate::Impl {
  jinja::Body body;

  Result<jinja::Text> Render(const nlohmann::ordered_json& context, Time now) const {
    AUTOGLM_TRY(const jinja::Value values, jinja::ContextFromJson(context));
    jinja::Runtime runtime{.budget = {}, .now = now, .raised = false, .namespaces = {}};
    return jinja::Interpreter(runtime).Render(body, values);
  }
};

ChatTemplate::ChatTemplate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChatTemplate::~ChatTemplate() = default;

Result<std::unique_ptr<ChatTemplate>> ChatTemplate::Parse(std::string source) {
  AUTOGLM_TRY(jinja::Body body, jinja::ParseTemplate(source));
  auto impl = std::make_unique<Impl>();
  impl->body = std::move(body);
  return std::unique_ptr<ChatTemplate>(new ChatTemplate(std::move(impl)));
}

Result<std::string> ChatTemplate::Render(const nlohmann::ordered_json& context, Time now) const {
  return impl_->Render(context, now).map([](const jinja::Text& text) { return text.bytes(); });
}

Result<std::vector<ChatTemplate::Piece>> ChatTemplate::RenderPieces(const nlohmann::ordered_json& context, Time now) const {
  AUTOGLM_TRY(const jinja::Text text, impl_->Render(context, now));
  std::vector<Piece> pieces;
  size_t begin = 0;
  for (const jinja::Text::Run& run : text.runs()) {
    pieces.push_back({text.bytes().substr(begin, run.end - begin), run.origin == jinja::Origin::kContext});
    begin = run.end;
  }
  return pieces;
}

}  // namespace autoglm
