"""From videos to feature files: which clips are rows, the encoder over them, and the files' forms.

Used by localization, reports, TSP's GVF and the command extract. Imports models, data, common and gpuaug.
"""
