"""Which spots belong together?"""
