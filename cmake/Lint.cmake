# The target `lint`: format and clang-tidy over every source file of the repository.
add_custom_target(
  lint
  COMMAND ${PROJECT_SOURCE_DIR}/tools/lint.sh ${CMAKE_BINARY_DIR}
  WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
  USES_TERMINAL)
