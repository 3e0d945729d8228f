/* GPT-2 in C, float32: logits only, one row at a time and without its padding. From the formulas
 * of the paper. Reads the judge's JSON lines by looking for the few keys that it needs, and answers
 * with a file. cc -O2 gpt2.c -o gpt2 -lm; ./gpt2 BUG puts one bug in. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *the_bug = "";
static jmp_buf refused;
static char why[300];

static int bug(const char *id) { return strcmp(the_bug, id) == 0; }

static void refuse(const char *format, ...) {
  va_list given;
  va_start(given, format);
  vsnprintf(why, sizeof why, format, given);
  va_end(given);
  longjmp(refused, 1);
}

/* ---- JSON ---- */
static const char *after(const char *text, const char *key) {
  char quoted[100];
  snprintf(quoted, sizeof quoted, "\"%s\":", key);
  const char *found = strstr(text, quoted);
  if (!found) return NULL;
  found += strlen(quoted);
  return found + strspn(found, " ");
}
static double number(const char *text, const char *key, double otherwise) {
  const char *at = after(text, key);
  if (!at || strncmp(at, "null", 4) == 0) return otherwise;
  if (*at == 't' || *at == 'f') return *at == 't';
  return strtod(at, NULL);
}
static void word(const char *text, const char *key, char *into, size_t size) {
  const char *at = after(text, key);
  size_t n = at && *at == '"' ? strcspn(++at, "\"") : 0;
  snprintf(into, size, "%.*s", (int)n, at ? at : "");
}
/* Every number of a list of lists, and how many lists there are. */
static long *table(const char *text, const char *key, int *rows, int *count) {
  const char *at = after(text, key);
  long *found = malloc(sizeof(long) * (strlen(at) + 1));
  int depth = 0;
  *rows = *count = 0;
  do {
    if (*at == '[' && ++depth == 2) ++*rows;
    if (*at == ']') --depth;
    if (*at == '-' || (*at >= '0' && *at <= '9')) {
      char *end;
      found[(*count)++] = strtol(at, &end, 10);
      at = end - 1;
    }
    ++at;
  } while (depth);
  return found;
}

/* ---- the weights ---- */
static char *stored, stored_path[1000];
static void load(const char *path) {
  if (stored && strcmp(path, stored_path) == 0) return;
  free(stored);
  FILE *file = fopen(path, "rb");
  if (!file) refuse("cannot read %s", path);
  fseek(file, 0, SEEK_END);
  long size = ftell(file);
  rewind(file);
  stored = malloc(size);
  if (fread(stored, 1, size, file) != (size_t)size) refuse("cannot read %s", path);
  fclose(file);
  snprintf(stored_path, sizeof stored_path, "%s", path);
}
static const float *tensor(int layer, const char *part) {
  char name[100];
  long long header;
  memcpy(&header, stored, 8);
  char *text = stored + 8, last = text[header - 1];
  if (layer < 0) snprintf(name, sizeof name, "%s", part);
  else snprintf(name, sizeof name, "h.%d.%s", layer, part);
  text[header - 1] = 0; /* a text while it is searched */
  const char *entry = after(text, name), *offsets = entry ? after(entry, "data_offsets") : NULL;
  long from = offsets ? strtol(offsets + 1, NULL, 10) : 0;
  text[header - 1] = last;
  if (!offsets) refuse("no tensor %s", name);
  return (const float *)(stored + 8 + header + from);
}

/* ---- the model ---- */
static float gelu_erf(float x) { return 0.5f * x * (1 + erff(x * (float)M_SQRT1_2)); }
static float gelu_tanh(float x) {
  if (bug("gelu-erf")) return gelu_erf(x);
  if (bug("gelu-sigmoid")) return x / (1 + expf(-1.702f * x));
  return 0.5f * x * (1 + tanhf((float)sqrt(M_2_PI) * (x + 0.044715f * x * x * x)));
}
static float relu(float x) { return x > 0 ? x : 0; }
static float silu(float x) { return x / (1 + expf(-x)); }

static void norm(float *to, const float *x, int n, float eps, const float *gain, const float *bias) {
  float mean = 0, variance = 0;
  for (int i = 0; i < n; i++) mean += x[i] / n;
  for (int i = 0; i < n; i++) variance += (x[i] - mean) * (x[i] - mean);
  variance /= bug("layernorm-bessel") ? n - 1 : n;
  float by = bug("layernorm-eps-outside") ? sqrtf(variance) + eps : sqrtf(variance + eps);
  for (int i = 0; i < n; i++) to[i] = (x[i] - mean) / by * gain[i] + bias[i];
}
static void dense(float *to, const float *x, int in, int out, int layer, const char *part) {
  char name[60];
  snprintf(name, sizeof name, "%s.weight", part);
  const float *w = tensor(layer, name);
  snprintf(name, sizeof name, "%s.bias", part);
  const float *b = tensor(layer, name);
  for (int j = 0; j < out; j++) {
    float sum = 0;
    for (int i = 0; i < in; i++)
      sum += x[i] * (bug("conv1d-transposed") && in == out ? w[j * in + i] : w[i * out + j]);
    to[j] = sum + b[j];
  }
}
static void attend(float *to, const float *qkv, int t, int count, int n, int size, float scale) {
  int end = bug("no-causal-mask") ? count : bug("causal-off-by-one") && t + 1 < count ? t + 2 : t + 1;
  float *p = malloc(sizeof(float) * end);
  for (int head = 0; head < n; head += size) {
    float top = -INFINITY, total = 0;
    for (int u = 0; u < end; u++) {
      p[u] = 0;
      for (int i = head; i < head + size; i++) p[u] += qkv[3 * n * t + i] * qkv[3 * n * u + n + i];
      p[u] *= scale;
      if (p[u] > top) top = p[u];
    }
    if (bug("softmax-no-max")) top = 0;
    for (int u = 0; u < end; u++) total += p[u] = expf(p[u] - top);
    for (int i = head; i < head + size; i++) {
      to[i] = 0;
      for (int u = 0; u < end; u++) to[i] += p[u] / total * qkv[3 * n * u + 2 * n + i];
    }
  }
  free(p);
}
static void forward(const char *config, const long *ids, int count, float *logits) {
  int n = number(config, "n_embd", 768), heads = number(config, "n_head", 12), size = n / heads;
  int vocab = number(config, "vocab_size", 50257), room = number(config, "n_positions", 1024);
  int layers = number(config, "n_layer", 12), inner = number(config, "n_inner", 4 * n);
  float eps = number(config, "layer_norm_epsilon", 1e-5);
  char name[40];
  word(config, "activation_function", name, sizeof name);
  float (*act)(float) = strcmp(name, "gelu") == 0 ? gelu_erf
                        : strncmp(name, "gelu", 4) == 0 ? gelu_tanh
                        : strcmp(name, "relu") == 0 ? relu : silu;
  if (count > room) refuse("%d tokens, but n_positions is %d", count, room);
  const float *wte = tensor(-1, "wte.weight"), *wpe = tensor(-1, "wpe.weight");
  float *x = malloc(sizeof(float) * n * (count + 1)), *qkv = malloc(sizeof(float) * 3 * n * (count + 1));
  float *y = malloc(sizeof(float) * (n + 1)), *z = malloc(sizeof(float) * (n + inner + 1));
  for (int t = 0; t < count; t++) {
    if (ids[t] < 0 || ids[t] >= vocab) refuse("%ld is not in the vocabulary", ids[t]);
    for (int i = 0; i < n; i++) x[t * n + i] = wte[ids[t] * n + i] + wpe[t * n + i];
  }
  for (int l = 0; l < layers; l++) {
    float scale = number(config, "scale_attn_weights", 1) ? 1 / sqrtf(size) : 1;
    if (number(config, "scale_attn_by_inverse_layer_idx", 0)) scale /= l + 1;
    if (bug("scale-flags-ignored")) scale = 1 / sqrtf(size);
    if (bug("scale-twice")) scale *= scale;
    for (int t = 0; t < count; t++) {
      norm(y, x + t * n, n, eps, tensor(l, "ln_1.weight"), tensor(l, "ln_1.bias"));
      dense(qkv + 3 * n * t, y, n, 3 * n, l, "attn.c_attn");
    }
    for (int t = 0; t < count; t++) {
      attend(y, qkv, t, count, n, size, scale);
      dense(z, y, n, n, l, "attn.c_proj");
      for (int i = 0; i < n; i++) x[t * n + i] += z[i];
      norm(y, x + t * n, n, eps, tensor(l, "ln_2.weight"), tensor(l, "ln_2.bias"));
      dense(z + n, y, n, inner, l, "mlp.c_fc");
      for (int i = 0; i < inner; i++) z[n + i] = act(z[n + i]);
      dense(z, z + n, inner, n, l, "mlp.c_proj");
      for (int i = 0; i < n; i++) x[t * n + i] += z[i];
    }
  }
  const float *head = number(config, "tie_word_embeddings", 1) ? wte : tensor(-1, "lm_head.weight");
  for (int t = 0; t < count; t++) {
    norm(y, x + t * n, n, eps, tensor(-1, "ln_f.weight"), tensor(-1, "ln_f.bias"));
    for (int v = 0; v < vocab; v++) {
      float sum = 0;
      for (int i = 0; i < n; i++) sum += y[i] * head[v * n + i];
      logits[t * vocab + v] = sum;
    }
  }
  free(x), free(qkv), free(y), free(z);
}
static void answer(const char *request, const char *folder) {
  char path[1000];
  word(request, "weights", path, sizeof path);
  load(path);
  int rows, count, vocab = number(request, "vocab_size", 50257);
  long *tokens = table(request, "tokens", &rows, &count);
  long *mask = table(request, "mask", &rows, &count);
  int width = count / rows;
  float *out = calloc((size_t)count * vocab, sizeof(float)), *row = malloc(sizeof(float) * width * vocab);
  for (int r = 0; r < rows; r++) {
    long *ids = malloc(sizeof(long) * width);
    int real = 0;
    for (int i = 0; i < width; i++)
      if (mask[r * width + i]) ids[real++] = tokens[r * width + i];
    forward(request, ids, real, row);
    for (int i = 0, from = 0; i < width; i++)
      if (mask[r * width + i])
        memcpy(out + (size_t)(r * width + i) * vocab, row + (size_t)vocab * from++, sizeof(float) * vocab);
    free(ids);
  }
  snprintf(path, sizeof path, "%s/answer", folder);
  FILE *file = fopen(path, "wb");
  fwrite(out, sizeof(float), (size_t)count * vocab, file);
  fclose(file);
  printf("{\"file\": \"%s\", \"dtype\": \"float32\", \"shape\": [%d, %d, %d]}\n", path, rows, width, vocab);
  free(tokens), free(mask), free(out), free(row);
}
int main(int argc, char **argv) {
  char *line = NULL, folder[900] = "";
  size_t room = 0;
  if (argc > 1) the_bug = argv[1];
  while (getline(&line, &room, stdin) > 0) {
    if (strstr(line, "\"offer\"")) {
      word(line, "folder", folder, sizeof folder);
      printf("{\"name\": \"gpt2.c\", \"dtype\": \"float32\", \"functions\": [\"logits\"]}\n");
    } else if (setjmp(refused)) {
      printf("{\"error\": \"%s\"}\n", why);
    } else {
      answer(line, folder);
    }
    fflush(stdout);
  }
  return 0;
}
