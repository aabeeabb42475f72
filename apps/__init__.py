"""What's built on the lessons; each folder is an app of its own, with a README.

- own_pictures: a classifier of your own folder of pictures, and a report (`make mine`)
- sharing: save a classifier, export it, run the exported file, describe it on a card
- page: static files that run a classifier in the visitor's browser (`make page`)
- served: a page with Python behind it, by Voila (`make app`)
- many: predictions for a folder of any size, and training, here or on many machines
"""
